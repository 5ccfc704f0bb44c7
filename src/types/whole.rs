//! A value as serde sees it: its bytes as a whole, where they lie, instead of one by one.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::Value;

pub(super) fn serialize<S: Serializer>(value: &Option<Value>, serializer: S) -> Result<S::Ok, S::Error> {
    value.as_deref().map(Whole).serialize(serializer)
}

pub(super) fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Value>, D::Error> {
    Ok(Option::<&[u8]>::deserialize(deserializer)?.map(Value::from))
}

struct Whole<'a>(&'a [u8]);

impl Serialize for Whole<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

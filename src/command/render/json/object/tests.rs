use super::*;

#[test]
fn base64_of_the_standard() {
    let pairs = [("", ""), ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE=")];
    for (plain, encoded) in pairs {
        assert_eq!(base64(plain.as_bytes()), encoded);
    }
    assert_eq!(base64(b"\xff\xfe\xfd\xfb"), "//79+w==");
}

#[test]
fn fields_keep_their_order() {
    let object = Object::new().with("z", 1).with("a", "x").bytes("key", b"\xff").object("o", Object::new()).list(
        "l",
        &[1, 2],
        |n| Object::new().with("n", n),
    );
    let line = String::from_utf8(object.line()).unwrap();
    assert_eq!(line, "{\"z\":1,\"a\":\"x\",\"key_base64\":\"/w==\",\"o\":{},\"l\":[{\"n\":1},{\"n\":2}]}\n");
}

#[test]
fn what_is_no_number_is_null() {
    assert_eq!(Object::new().with("cv", f64::NAN).line(), b"{\"cv\":null}\n");
}

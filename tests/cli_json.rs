//! JSON for programs: every command's object has the fields that are promised, no others, and reads back.

mod cli;

use cli::{fields, json, run, text};
use serde_json::{Value, json as value};

/// The object of the last of `commands`.
fn last(commands: &str) -> Value {
    let (mut objects, errors) = json(commands, &[]);
    assert_eq!(errors, Vec::<Value>::new(), "{commands}");
    objects.pop().unwrap_or_else(|| panic!("no answer to {commands}"))
}

#[track_caller]
fn assert_fields(object: &Value, names: &str) {
    let mut expected: Vec<&str> = names.split_whitespace().collect();
    expected.sort_unstable();
    assert_eq!(fields(object), expected, "{object}");
}

const REQUEST: &str = "command ok key value primary replicas acks needed version virtual_us";

#[test]
fn requests() {
    for (commands, name, val) in
        [("PUT a 1", "put", value!("1")), ("put a 1; GET a", "get", value!("1")), ("get a", "get", Value::Null)]
    {
        let object = last(commands);
        assert_fields(&object, REQUEST);
        assert_eq!((&object["command"], &object["ok"]), (&value!(name), &value!(true)));
        assert_eq!((&object["key"], &object["value"]), (&value!("a"), &val));
        assert_eq!(object["primary"], object["replicas"][0]);
        assert_eq!(object["replicas"].as_array().unwrap().len(), 3);
        assert_eq!(object["needed"], 2);
        assert!(object["acks"].as_array().unwrap().len() >= 2);
        assert_eq!(object["version"].is_string(), commands != "get a");
        assert!(object["virtual_us"].as_u64().unwrap() > 0);
    }
    let object = last("set a 1; REMOVE a");
    assert_fields(&object, &format!("{REQUEST} existed"));
    assert_eq!(
        (&object["command"], &object["value"], &object["existed"]),
        (&value!("del"), &Value::Null, &value!(true))
    );
    assert_eq!(last("del a")["existed"], false);
    assert_eq!(last("put a 1; exists a"), value!({"command": "exists", "ok": true, "key": "a", "exists": true}));
    assert_eq!(last("exists a")["exists"], false);
}

#[test]
fn requests_of_several_keys() {
    let object = last("mput a 1 b 2");
    assert_fields(&object, "command ok results");
    assert_fields(&object["results"][1], &REQUEST.replace("command", ""));
    let object = last("put b 2; mget a b");
    assert_eq!((&object["results"][0]["value"], &object["results"][1]["value"]), (&Value::Null, &value!("2")));

    let (objects, _) = json("mget a b", &["--nodes", "0"]);
    assert_eq!(objects[0]["ok"], false);
    assert_fields(&objects[0]["results"][0], "ok key code message");
    assert_eq!(objects[0]["results"][0]["code"], "KV-E135");
}

#[test]
fn bytes_that_are_no_text_are_base64() {
    let object = last(r#"put "\xff\x00" "\xfe""#);
    assert_fields(&object, &REQUEST.replace("key", "key_base64").replace("value", "value_base64"));
    assert_eq!((&object["key_base64"], &object["value_base64"]), (&value!("/wA="), &value!("/g==")));
    let object = last(r#"put "\xff" 1; put a 2; keys"#);
    assert_eq!(object, value!({"command": "keys", "ok": true, "keys": ["a"], "keys_base64": ["/w=="]}));
}

#[test]
fn looking() {
    let object = last("put a 1; where a");
    assert_fields(&object, "command ok key hash token replicas");
    assert_eq!(object["hash"], format!("{:016x}", xxhash_rust::xxh3::xxh3_64(b"a")));
    assert_eq!(last("put b 2; put a 1; keys")["keys"], value!(["a", "b"]));
    assert_eq!(last("put a 1; keys node1")["keys"], value!(["a"]));
    assert_eq!(last("put a 1; count"), value!({"command": "count", "ok": true, "count": 1}));
    let object = last("clock");
    assert_fields(&object, "command ok virtual_us event_hash");
    assert_eq!(object["event_hash"].as_str().unwrap().len(), 16);
    assert_fields(&last("check"), "command ok violations checked");
    let object = last("put a 1; events 5");
    assert_fields(&object, "command ok events");
    assert_fields(&object["events"][0], "virtual_us node kind detail");
}

#[test]
fn the_ring() {
    let object = last("put a 1; addnode node4");
    let names = "command ok node tokens moved_keys copied minimum copies fair_share modulo_moved between_others pairs \
                 epoch virtual_us";
    assert_fields(&object, names);
    assert_eq!((&object["command"], &object["between_others"]), (&value!("addnode"), &value!(0)));
    assert_eq!(object["copied"], object["minimum"]);
    let object = last("mput a 1 b 2 c 3 d 4 e 5; addnode node4; removenode node1");
    assert_fields(&object, &format!("{names} nodes lost_keys lost"));
    assert_eq!((&object["command"], &object["nodes"]), (&value!("removenode"), &value!(["node1"])));
    assert_eq!((&object["lost_keys"], &object["lost"]), (&value!(0), &value!([])));
    for pair in object["pairs"].as_array().unwrap() {
        assert_fields(pair, "from to keys bytes");
    }
}

#[test]
fn figures() {
    let object = last("mput a 1 b 2 c 3; get a; stats");
    assert_fields(&object, "command ok keys copies nodes cv max_over_mean operations");
    assert_eq!((&object["keys"], &object["copies"]), (&value!(3), &value!(9)));
    let nodes = object["nodes"].as_array().unwrap();
    for node in nodes {
        assert_fields(node, "id state keys primaries share cache_hits cache_misses log_bytes");
        assert_eq!(node["keys"], 3);
    }
    let sum: f64 = nodes.iter().map(|node| node["share"].as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-9, "shares are ratios and add up: {sum}");
    assert_fields(&object["operations"], "issued ok failed indeterminate in_flight");
    let object = last("nodes");
    assert_fields(&object["nodes"][0], "id state tokens faults");
    assert_fields(&last("show"), "command ok keys copies nodes cv max_over_mean operations");
}

#[test]
fn what_nodes_believe() {
    let object = last("advance 1s; leader");
    assert_fields(&object, "command ok leader term epoch ready voters known_to");
    assert_eq!((&object["leader"], &object["term"], &object["epoch"]), (&value!("node1"), &value!(1), &value!(1)));
    assert_eq!(object["voters"][2], value!({"id": "node3", "state": "up"}));
    let object = last("advance 1s; kill node1; kill node2; advance 5s; leader");
    assert_fields(&object, "command ok leader term epoch ready voters known_to why");
    assert_eq!((&object["ok"], &object["leader"]), (&value!(true), &Value::Null));

    let object = last("advance 1s; members");
    assert_fields(&object, "command ok members");
    assert_eq!(object["members"].as_array().unwrap().len(), 9, "a row for each member and observer");
    let object = last("advance 1s; kill node2; advance 2500ms; members --as node3");
    let rows = object["members"].as_array().unwrap();
    rows.iter().for_each(|row| assert_fields(row, "id state phi incarnation epoch as_seen_by"));
    let told: Vec<_> = rows.iter().map(|row| (&row["id"], &row["state"], &row["as_seen_by"])).collect();
    let [up, suspect, node3] = [value!("up"), value!("suspect"), value!("node3")];
    assert_eq!(told[1], (&value!("node2"), &suspect, &node3));
    assert_eq!(told[2], (&node3, &up, &node3));
    let phi = rows[1]["phi"].as_f64().unwrap();
    assert!(phi >= 8.0 && (phi * 10.0).fract() < 1e-9, "one decimal: {phi}");

    let object = last("advance 1s; kill node2; advance 2500ms; status --as node3");
    assert_fields(&object, "command ok as_seen_by nodes");
    let told: Vec<_> = object["nodes"].as_array().unwrap().iter().map(|node| &node["status"]).collect();
    assert_eq!(told, ["up", "unknown", "up"]);
    assert_fields(&last("status"), "command ok nodes");
}

#[test]
fn the_rest() {
    assert_fields(&last("kill node2"), "command ok node virtual_us");
    assert_fields(&last("kill node2; restart node2"), "command ok node records");
    assert_fields(&last("advance 5s"), "command ok virtual_us");
    assert_eq!(last("consistency ONE")["level"], "one");
    assert_eq!(last("put a 1; clear --data --yes")["cleared"], 1);
    for name in ["clear", "exit"] {
        assert_eq!(last(name), value!({"command": name, "ok": true}));
    }
    assert_eq!(last("quit"), value!({"command": "exit", "ok": true}));
    assert_fields(&last("help put"), "command ok name usage group summary example");
    assert!(last("help")["commands"].as_array().unwrap().len() > 20);
}

#[test]
fn load_reports_every_500_keys_and_at_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let lines: String = (0..1_200).map(|n| format!("key{n}\tvalue {n}\n")).collect();
    let path = folder.path().join("data.tsv");
    std::fs::write(&path, lines).unwrap();
    let (objects, errors) = json(&format!("load '{}'; count", path.display()), &[]);
    assert_eq!(errors, Vec::<Value>::new());
    let keys: Vec<u64> = objects.iter().filter_map(|object| object["keys"].as_u64()).collect();
    assert_eq!(keys, [500, 1_000, 1_200]);
    assert_fields(&objects[2], "command ok keys done virtual_us");
    assert_eq!(objects[3]["count"], 1_200);
}

#[test]
fn errors_are_objects_on_standard_error() {
    let output = run("put a 1\n\nput a; pt; put \"x", &["--format", "json"]);
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(cli::objects(&output.stdout).len(), 1);
    let errors = cli::objects(&output.stderr);
    assert_eq!(errors.len(), 1, "a line with an open quote runs nothing");
    assert_fields(&errors[0], "command ok code message line");
    assert_eq!((&errors[0]["command"], &errors[0]["line"]), (&Value::Null, &value!(3)));

    let (_, errors) = json("\nput a; Pt", &[]);
    let heads: Vec<_> = errors.iter().map(|error| (&error["command"], &error["ok"], &error["line"])).collect();
    assert_eq!(heads, [(&value!("put"), &value!(false), &value!(2)), (&value!("Pt"), &value!(false), &value!(2))]);
    assert!(errors.iter().all(|error| error["code"] == "KV-E401"));
    assert!(errors.iter().all(|error| !error["message"].as_str().unwrap().contains("KV-E401")));
}

#[test]
fn a_failed_check_of_the_arguments_is_no_json_on_standard_output() {
    let output = run("count", &["--format", "json", "--vnodes", "0"]);
    assert_eq!((output.status.code(), text(&output.stdout).as_str()), (Some(2), ""));
}

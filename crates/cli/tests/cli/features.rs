//! `skep features` and `skep help`.

use crate::support::skep;

#[test]
fn features_are_listed_and_filtered() {
    let run = skep(["features"]).ok();
    for group in ["system:", "programs: ", "maps: ", "attach: ", "links: ", "instructions: ", "kfuncs: "] {
        assert!(run.out.contains(group), "{group}\n{}", run.out);
    }
    assert!(!run.out.contains("helpers: "));
    let maps = skep(["features", "lru"]).ok();
    assert!(maps.out.contains("lru_percpu_hash") && maps.out.contains("4.10"), "{}", maps.out);
    assert!(!maps.out.contains("sockmap"));
    let group = skep(["features", "links", "--all"]).ok();
    assert!(group.out.starts_with("links: ") && group.out.contains("netfilter"), "{}", group.out);
    let nothing = skep(["features", "nosuchfeature"]);
    assert_eq!(nothing.status, Some(2));
    assert!(nothing.err.contains("--helpers"), "{}", nothing.err);
}

#[test]
fn features_are_json() {
    let run = skep(["features", "--json"]).ok();
    let value: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    let findings = value["findings"].as_array().unwrap();
    assert!(findings.len() > 300);
    for finding in findings {
        let present = finding["present"].as_bool().unwrap();
        assert_eq!(present, finding["reason"].is_null(), "{finding}");
    }
    assert!(!value["kernel"].as_str().unwrap().is_empty());
}

#[test]
fn help_explains_things() {
    let xdp = skep(["help", "prog", "xdp"]).ok();
    assert!(xdp.out.contains("XDP_DROP") && xdp.out.contains("rx_queue_index"), "{}", xdp.out);
    let map = skep(["help", "map", "BPF_MAP_TYPE_LRU_HASH"]).ok();
    assert!(map.out.starts_with("lru_hash\n"), "{}", map.out);
    for (topic, name, expected) in [
        ("helper", "bpf_redirect", "bpf_redirect"),
        ("attach", "tcx_ingress", "sched_cls"),
        ("kfunc", "bpf_obj_new", "bpf_obj_new_impl"),
        ("link", "tcx", "tcx_egress"),
        ("insn", "bswap", "6.6"),
        ("limit", "stack", "512"),
    ] {
        let run = skep(["help", topic, name]).ok();
        assert!(run.out.contains(expected), "{topic} {name}: {}", run.out);
    }
    assert!(skep(["help", "map"]).ok().out.contains("lpm_trie"));
}

#[test]
fn help_of_commands_goes_on_working() {
    let all = skep(["help"]).ok();
    assert!(all.out.contains("filter") && all.out.contains("Topics of skep help") && all.out.contains("kfunc"));
    let filter = skep(["help", "filter"]).ok();
    assert_eq!(filter.out.trim(), skep(["filter", "--help"]).ok().out.trim());
    assert!(skep(["help", "vm", "run"]).ok().out.contains("skep vm run"));
    assert!(skep(["--help"]).ok().out.contains("filter"));
}

#[test]
fn wrong_names_meet_suggestions() {
    let run = skep(["help", "map", "lru_hsah"]);
    assert_eq!(run.status, Some(2));
    assert!(run.err.contains("did you mean lru_hash"), "{}", run.err);
    let run = skep(["help", "lru_hash"]);
    assert!(run.err.contains("skep help map lru_hash"), "{}", run.err);
    let run = skep(["help", "nonsense"]);
    assert_eq!((run.status, run.err.contains("lists sub-commands and topics")), (Some(2), true));
}

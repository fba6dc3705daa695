//! `skep ps`, `maps`, `map`, `links`, `link`, `dis` and `btf`: on what bpftool has loaded and attached, against what bpftool
//! says about it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;
use skep_isa::AttachType;
use skep_kernel::LoadedProgram;
use skep_kernel::attach::{
    CgroupOptions, PerfEvent, PerfRate, PerfTarget, attach_cgroup, attach_perf_event, attach_raw_tracepoint,
    attach_tracepoint, open_cgroup,
};
use skep_testkit::clang;

use super::support::{skep, skip};

mod code;
mod types;

/// Where clang's object of `c/observe.c` lies; `None` with a note without clang.
fn object() -> Option<(tempfile::TempDir, PathBuf)> {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cli/c/observe.c");
    match clang::compile(&source, &[]) {
        Ok(bytes) => {
            let directory = tempfile::tempdir().unwrap();
            let path = directory.path().join("observe.o");
            fs::write(&path, bytes).unwrap();
            Some((directory, path))
        }
        Err(why) => {
            skip(&why);
            None
        }
    }
}

/// Runs a command that has to succeed and returns its standard output.
#[track_caller]
fn tool(name: &str, args: &[&str]) -> String {
    let output = Command::new(name).args(args).output().unwrap();
    assert!(output.status.success(), "{name} {args:?}: {}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

/// The same for JSON.
#[track_caller]
fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

/// Programs that bpftool has loaded and pinned, and a network namespace and control group for them. Dropping it leaves
/// nothing.
struct Loaded {
    _object: tempfile::TempDir,
    file: PathBuf,
    pins: PathBuf,
    name: String,
}

impl Loaded {
    /// `None` with a note if that is impossible here.
    fn new() -> Option<Self> {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let (directory, file) = object()?;
        if Command::new("bpftool").arg("version").output().is_err() {
            skip("bpftool is not installed");
            return None;
        }
        if skep_kernel::bpf_mounts().first().is_none_or(|mount| mount != Path::new("/sys/fs/bpf")) {
            skip("no BPF file system is mounted at /sys/fs/bpf");
            return None;
        }
        let name = format!("skep-observe-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        let pins = Path::new("/sys/fs/bpf").join(&name);
        let loaded = Self { _object: directory, file, pins, name };
        fs::create_dir(&loaded.pins).unwrap();
        tool("bpftool", &["prog", "loadall", loaded.file.to_str().unwrap(), loaded.pins.to_str().unwrap()]);
        Some(loaded)
    }

    fn pin(&self, program: &str) -> String {
        self.pins.join(program).display().to_string()
    }

    fn program(&self, name: &str) -> LoadedProgram {
        LoadedProgram::pinned(self.pin(name)).unwrap()
    }

    fn id(&self, program: &str) -> u32 {
        self.program(program).info().unwrap().id
    }

    /// The number of a map that the classifier uses.
    fn map(&self, name: &str) -> String {
        let maps = self.program("observed_classifier_with_a_long_name").info().unwrap().map_ids;
        let named = |id: &&u32| skep_kernel::LoadedMap::by_id(**id).is_ok_and(|map| map.name() == name);
        maps.iter().find(named).unwrap_or_else(|| panic!("no map {name}")).to_string()
    }
}

impl Drop for Loaded {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.pins);
    }
}

/// A network namespace that goes away.
struct Netns(String);

impl Netns {
    fn new(name: &str) -> Self {
        tool("ip", &["netns", "add", name]);
        Self(name.to_owned())
    }

    fn run(&self, words: &[&str]) {
        let path = format!("--net=/run/netns/{}", self.0);
        let args: Vec<&str> = [path.as_str()].into_iter().chain(words.iter().copied()).collect();
        tool("nsenter", &args);
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.0]).output();
    }
}

/// A control group that goes away.
struct Cgroup(PathBuf);

impl Cgroup {
    fn new(name: &str) -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let point = mounts.lines().find_map(|line| {
            let mut fields = line.split(' ');
            let (point, kind) = (fields.nth(1)?, fields.next()?);
            (kind == "cgroup2").then(|| PathBuf::from(point))
        });
        let Some(point) = point else {
            skip("control groups of version 2 are not mounted");
            return None;
        };
        let path = point.join(name);
        fs::create_dir(&path).unwrap();
        Some(Self(path))
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.0);
    }
}

/// The only row with a number.
#[track_caller]
fn row(rows: &Value, id: u32) -> &Value {
    let found: Vec<&Value> = rows.as_array().unwrap().iter().filter(|row| row["id"] == id).collect();
    assert_eq!(found.len(), 1, "number {id}: {rows:#}");
    found[0]
}

/// The places of a program.
fn places(row: &Value) -> Vec<String> {
    let one = |place: &Value| format!("{} {}", place["kind"].as_str().unwrap(), place["place"].as_str().unwrap());
    row["attached"].as_array().unwrap().iter().map(one).collect()
}

#[test]
fn programs_say_where_they_run_and_who_holds_them() {
    let Some(loaded) = Loaded::new() else { return };
    let netns = Netns::new(&loaded.name);
    netns.run(&["ip", "link", "set", "lo", "up"]);
    let xdp = loaded.id("obs_xdp").to_string();
    netns.run(&["bpftool", "net", "attach", "xdpgeneric", "id", &xdp, "dev", "lo"]);
    netns.run(&["bpftool", "prog", "attach", "pinned", &loaded.pin("obs_dissector"), "flow_dissector"]);
    netns.run(&["tc", "qdisc", "add", "dev", "lo", "clsact"]);
    let classifier = loaded.pin("observed_classifier_with_a_long_name");
    netns.run(&["tc", "filter", "add", "dev", "lo", "ingress", "bpf", "da", "pinned", &classifier]);

    let rows = json(&skep(["ps", "--json"]).ok().out);
    let main = row(&rows, loaded.id("observed_classifier_with_a_long_name"));
    assert_eq!(main["name"], "observed_classifier_with_a_long_name");
    assert_eq!(main["type"], "sched_cls");
    assert_eq!(main["pinned"][0], classifier.as_str());
    let place = places(main);
    assert_eq!(place.len(), 1, "{place:?}");
    assert!(place[0].starts_with(&format!("tc_ingress lo (namespace {})", loaded.name)), "{place:?}");
    let of = |program: &str| places(row(&rows, loaded.id(program)));
    assert_eq!(of("obs_xdp"), [format!("xdp lo (namespace {}) generic", loaded.name)]);
    assert_eq!(of("obs_dissector"), [format!("flow_dissector namespace {}", loaded.name)]);
    assert!(of("obs_raw").is_empty());

    // What bpftool says about the same programs.
    for program in json(&tool("bpftool", &["-j", "prog", "show"])).as_array().unwrap() {
        let Some(ours) = rows.as_array().unwrap().iter().find(|row| row["id"] == program["id"]) else { continue };
        for (our, their) in [("type", "type"), ("tag", "tag"), ("uid", "uid"), ("bytes_jited", "bytes_jited")] {
            assert_eq!(ours[our], program[their], "{our}: {ours} {program}");
        }
        assert_eq!(ours["bytes_memory"], program["bytes_memlock"]);
        assert_eq!(ours["insns"].as_u64().unwrap() * 8, program["bytes_xlated"].as_u64().unwrap());
        if !program["map_ids"].is_null() {
            assert_eq!(ours["maps"], program["map_ids"]);
        }
    }

    let text = skep(["ps", "--name", "classifier_with"]).ok().out;
    assert!(text.starts_with("    ") || text.starts_with("ID") || text.trim_start().starts_with("ID"), "{text}");
    assert!(text.contains("observed_classifier_with_a_long_name") && text.contains(&classifier), "{text}");
    let one = json(&skep(["ps", "--json", "--type", "xdp", "--id", &xdp]).ok().out);
    assert_eq!(one.as_array().unwrap().len(), 1);
}

#[test]
fn links_and_descriptors_are_places() {
    let Some(loaded) = Loaded::new() else { return };
    let Some(cgroup) = Cgroup::new(&loaded.name) else { return };
    let path = cgroup.0.to_str().unwrap();
    tool("bpftool", &["cgroup", "attach", path, "connect4", "pinned", &loaded.pin("obs_connect")]);
    let group = open_cgroup(&cgroup.0).unwrap();
    let egress = loaded.program("obs_egress");
    let egress_type = AttachType::CgroupInetEgress;
    let _egress = attach_cgroup(&egress, &group, egress_type, CgroupOptions::default()).unwrap();
    let _raw = attach_raw_tracepoint(loaded.program("obs_raw"), "sched_switch", 0).unwrap();
    let tracepoint = attach_tracepoint(loaded.program("obs_tracepoint"), "syscalls", "sys_enter_getpid", 0);
    let clock = PerfEvent::Software(0);
    let perf = loaded.program("obs_perf");
    let _perf = attach_perf_event(&perf, clock, PerfRate::Period(1 << 30), PerfTarget::Cpu(0)).unwrap();

    let rows = json(&skep(["ps", "--json"]).ok().out);
    let of = |program: &str| places(row(&rows, loaded.id(program)));
    let shown = format!("/{}", loaded.name);
    assert_eq!(of("obs_connect"), [format!("cgroup_inet4_connect {shown}")]);
    assert_eq!(of("obs_egress"), [format!("cgroup_inet_egress {shown}")], "once, though found in two ways");
    assert_eq!(of("obs_raw"), ["raw_tracepoint sched_switch"]);
    assert_eq!(of("obs_perf"), ["perf_event cpu-clock"]);
    if tracepoint.is_ok() {
        assert_eq!(of("obs_tracepoint"), ["tracepoint sys_enter_getpid"]);
    }
    let me = row(&rows, loaded.id("obs_raw"));
    let holds = |row: &Value| row["pids"].as_array().unwrap().iter().any(|who| who["pid"] == std::process::id());
    assert!(holds(me), "{me}");
    let mine = json(&skep(["ps", "--json", "--pid", &std::process::id().to_string()]).ok().out);
    assert!(mine.as_array().unwrap().iter().any(|row| row["id"] == loaded.id("obs_raw")), "{mine}");

    let links = json(&skep(["links", "--json"]).ok().out);
    let link = |program: &str| {
        let id = loaded.id(program);
        links.as_array().unwrap().iter().find(|link| link["prog_id"] == id).unwrap_or_else(|| panic!("{program}"))
    };
    assert_eq!(link("obs_egress")["kind"], "cgroup_inet_egress");
    assert_eq!(link("obs_egress")["prog_name"], "obs_egress");
    assert!(holds(link("obs_raw")));
    for theirs in json(&tool("bpftool", &["-j", "link", "show"])).as_array().unwrap() {
        // Links of other tests may come and go.
        let Some(ours) = links.as_array().unwrap().iter().find(|link| link["id"] == theirs["id"]) else { continue };
        assert_eq!(ours["prog_id"], theirs["prog_id"], "{ours} {theirs}");
    }
    let text = skep(["links", "--place", &loaded.name]).ok().out;
    assert!(text.lines().count() == 2 && text.contains("obs_egress"), "{text}");

    skep(["link", "detach", &link("obs_egress")["id"].to_string()]).ok();
    let rows = json(&skep(["ps", "--json"]).ok().out);
    let after = places(row(&rows, loaded.id("obs_egress")));
    assert!(after.iter().all(|place| !place.contains(&loaded.name)), "{after:?}");
    let refused = skep(["link", "detach", &link("obs_raw")["id"].to_string()]);
    assert_eq!(refused.status, Some(1));
    assert!(refused.err.contains("close every descriptor and pin of it"), "{}", refused.err);
    tool("bpftool", &["cgroup", "detach", path, "connect4", "pinned", &loaded.pin("obs_connect")]);
}

#[test]
fn statistics_count_what_runs() {
    let Some(loaded) = Loaded::new() else { return };
    let _raw = attach_raw_tracepoint(loaded.program("obs_raw"), "sched_switch", 0).unwrap();
    let id = loaded.id("obs_raw").to_string();
    // The processes of this test make the scheduler switch.
    let rows = json(&skep(["ps", "--stats", "--json", "--id", &id]).ok().out);
    assert!(rows[0]["run_count"].as_u64().unwrap() > 0, "{rows}");
    assert!(
        rows[0]["runs_per_second"].as_f64().unwrap() > 0.0 && rows[0]["average_ns"].as_u64().unwrap() > 0,
        "{rows}"
    );
    let top = skep(["ps", "--top", "--rounds", "2", "--name", "obs_raw"]).ok().out;
    assert_eq!(top.matches("RUNS/S").count(), 2, "{top}");
    assert!(top.contains("1 programs") || top.contains("programs, "), "{top}");
}

#[test]
fn maps_and_their_entries() {
    let Some(loaded) = Loaded::new() else { return };
    let (typed, percpu, plain) = (loaded.map("obs_typed"), loaded.map("obs_percpu"), loaded.map("obs_plain"));
    let key = "{port: 80, name: \"AB\"}";
    let value = "{count: 18446744073709551615, colour: GREEN, pair: [1, -1], text: \"hi\", flag: 1, level: 5}";
    skep(["map", "set", &typed, key, value]).ok();
    skep(["map", "set", &plain, "1", "0x0102"]).ok();
    skep(["map", "set", &percpu, "0", "40"]).ok();
    skep(["map", "set", &percpu, "0", "2", "--cpu", "0"]).ok();
    let line = skep(["map", "get", &typed, key]).ok().out;
    let expected = "{\"port\":80,\"name\":[65,66,0,0]}: {\"count\":18446744073709551615,\"colour\":\"GREEN\",\
                    \"pair\":[1,-1],\"text\":\"hi\",\"flag\":1,\"level\":5}\n";
    assert_eq!(line, expected);
    // What is printed is understood.
    let (printed_key, printed_value) = line.trim_end().split_once("}: ").unwrap();
    skep(["map", "set", &typed, &format!("{printed_key}}}"), printed_value, "--replace"]).ok();
    assert_eq!(skep(["map", "get", &typed, key]).ok().out, expected);
    assert_eq!(skep(["map", "get", &plain, "1"]).ok().out, "01 00 00 00 (1): 02 01 00 00 00 00 00 00 (258)\n");
    let cpus = u64::from(skep_kernel::possible_cpus().unwrap());
    let text = skep(["map", "get", &percpu, "0"]).ok().out;
    assert!(text.starts_with(&format!("0: sum {}\n  cpu 0: 2\n", 40 * (cpus - 1) + 2)), "{text}");

    for name in ["obs_percpu", "obs_plain", "observe.data", "observe.rodata"] {
        let id = loaded.map(if name.len() > 15 { &name[..15] } else { name });
        let (ours, theirs) =
            (skep(["map", "dump", &id, "--json"]).ok().out, tool("bpftool", &["-j", "map", "dump", "id", &id]));
        assert_eq!(json(&ours), json(&theirs), "{name}");
    }
    // bpftool prints bit fields in hexadecimal.
    let (mut ours, mut theirs) = (
        json(&skep(["map", "dump", &typed, "--json"]).ok().out),
        json(&tool("bpftool", &["-j", "map", "dump", "id", &typed]).replace("0x1,", "1,").replace("0x5}", "5}")),
    );
    for one in [&mut ours, &mut theirs] {
        for field in ["flag", "level"] {
            one[0]["formatted"]["value"][field] = Value::Null;
        }
    }
    assert_eq!(ours, theirs);

    let maps = json(&skep(["maps", "--json", "--count"]).ok().out);
    let facts = row(&maps, typed.parse().unwrap());
    assert_eq!((&facts["entries"], &facts["max_entries"]), (&Value::from(1), &Value::from(8)));
    let classifier = loaded.id("observed_classifier_with_a_long_name");
    assert_eq!(facts["programs"], Value::from(vec![classifier]));
    let rodata = row(&maps, loaded.map("observe.rodata").parse().unwrap());
    assert_eq!(rodata["frozen"], true);
    for theirs in json(&tool("bpftool", &["-j", "map", "show"])).as_array().unwrap() {
        let Some(ours) = maps.as_array().unwrap().iter().find(|map| map["id"] == theirs["id"]) else { continue };
        for name in ["type", "bytes_key", "bytes_value", "max_entries", "flags"] {
            assert_eq!(ours[name], theirs[name], "{name}: {ours} {theirs}");
        }
        assert_eq!(ours["bytes_memory"], theirs["bytes_memlock"]);
    }
    let info = skep(["map", "info", &typed]).ok().out;
    assert!(info.contains("entries     1\n") && info.contains(&format!("programs    {classifier}\n")), "{info}");

    skep(["map", "delete", &typed, key]).ok();
    let gone = skep(["map", "delete", &typed, key]);
    assert!(gone.status == Some(1) && gone.err.contains("has no entry with this key"), "{gone:?}");
}

#[test]
fn maps_without_keys() {
    let Some(loaded) = Loaded::new() else { return };
    // No program uses the queue, so nothing of what bpftool loaded keeps it: this one is made for the test.
    let pin = loaded.pin("queue");
    let words = ["map", "create", &pin, "type", "queue", "value", "4", "entries", "3", "name", "obs_q"];
    tool("bpftool", &words);
    skep(["map", "set", &pin, "7"]).ok();
    skep(["map", "set", &pin, "8"]).ok();
    assert_eq!(skep(["map", "get", &pin]).ok().out, "07 00 00 00 (7)\n");
    let dump = skep(["map", "dump", &pin]);
    assert!(dump.status == Some(2) && dump.err.contains("`skep map get` shows what comes next"), "{dump:?}");
    let wrong = skep(["map", "set", &pin, "1", "2"]);
    assert!(wrong.status == Some(2) && wrong.err.contains("has no keys: give only VALUE"), "{wrong:?}");
}

#[test]
fn mistakes_come_with_advice() {
    let missing: &[(&[&str], i32, &str)] = &[
        (&["map", "dump", "4294967290"], 1, "there is no map with the number"),
        (&["map", "dump", "no_such_map"], 1, "`skep maps` lists all"),
        (&["map", "dump", "/sys/fs/bpf/no/such"], 1, "there is nothing"),
        (&["dis", "prog", "no_such_program"], 1, "`skep ps` lists all"),
        (&["dis", "prog"], 2, "wants a number, a name or the path of a pin"),
        (&["dis", "/no/such.o"], 1, "no such file"),
        (&["link", "detach", "name"], 1, "neither a number nor a path"),
        (&["link", "detach", "4294967290"], 1, "there is no link with the number"),
        (&["ps", "--type", "xpd"], 2, "there are: socket_filter"),
        (&["ps", "--id", "4294967290"], 1, "there is no program with the number"),
        (&["maps", "--type", "hush"], 2, "there are: hash"),
        (&["btf", "dump", "no_such_type_at_all"], 1, "there is no type"),
        (&["btf", "dump", "id", "x"], 2, "wants a number"),
        (&["btf", "dump", "--module", "no_such", "x"], 1, "there are types of: "),
        (&["btf", "dump", "/etc/passwd"], 1, "not an ELF file"),
    ];
    if !skep_kernel::has_capability(skep_kernel::Capability::SysAdmin) {
        return skip("listing what is loaded needs CAP_SYS_ADMIN");
    }
    for (args, status, text) in missing {
        let run = skep(*args);
        assert!(run.status == Some(*status) && run.err.contains(text), "{args:?}: {run:?}");
        assert!(!run.err.contains("os error"), "{args:?}: {run:?}");
    }
    // Without capabilities.
    let Ok(version) = Command::new("setpriv").arg("--version").output() else {
        return skip("setpriv is not installed");
    };
    assert!(version.status.success());
    for args in [&["ps"][..], &["maps"], &["links"], &["map", "dump", "x"], &["dis", "prog", "x"]] {
        let words = ["--bounding-set", "-all", "--inh-caps", "-all", super::support::SKEP];
        let output = Command::new("setpriv").args(words).args(args).output().unwrap();
        let text = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.code() == Some(1) && text.contains("needs CAP_SYS_ADMIN: run it with sudo"), "{text}");
    }
}

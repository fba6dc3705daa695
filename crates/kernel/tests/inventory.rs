//! What exists in the kernel, who holds it, what is pinned, and what links say about themselves.

mod common;

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::path::Path;
use std::process::Command;

use common::{can_load, kernel_has};
use skep_isa::ebpf::assemble;
use skep_isa::{AttachType, MapType, ProgType, Release};
use skep_kernel::{
    BPFFS, Held, KernelError, LinkTarget, LoadedMap, LoadedProgram, MapDefinition, OpenLink, ProbePlace,
    ProgramDefinition, ProgramOptions, Rights, TestInput, Token, Update, bpf_mounts, descriptor_use, enable_stats,
    held_by, holders, link_ids, map_ids, pin, program_ids, unpin,
};

fn program(name: &str, prog_type: ProgType, attach_type: Option<AttachType>, text: &str) -> LoadedProgram {
    let insns = assemble(text).unwrap();
    let options = ProgramOptions { attach_type, ..Default::default() };
    let definition = ProgramDefinition { name, prog_type, insns: &insns, license: "GPL" };
    LoadedProgram::load_with(&definition, options).unwrap_or_else(|error| panic!("{error}"))
}

fn map(name: &str) -> LoadedMap {
    LoadedMap::create(&MapDefinition {
        name,
        map_type: MapType::Hash,
        key_size: 4,
        value_size: 8,
        max_entries: 10,
        flags: 0,
    })
    .unwrap()
}

#[test]
fn numbers_lead_to_objects_and_holders() {
    if !can_load() {
        return;
    }
    let (program, map) = (program("listed", ProgType::SchedCls, None, "r0 = 0\nexit\n"), map("listed_map"));
    let info = program.info().unwrap();
    let ids: Vec<u32> = program_ids().collect::<Result<_, _>>().unwrap();
    assert!(ids.contains(&info.id) && ids.is_sorted());
    let again = LoadedProgram::by_id(info.id).unwrap();
    assert_eq!((again.name(), again.info().unwrap().tag), ("listed", info.tag));
    assert!(map_ids().any(|id| id.unwrap() == map.id()));
    map.set(&[1; 4], &[2; 8], Update::Any).unwrap();
    assert_eq!(LoadedMap::by_id(map.id()).unwrap().get(&[1; 4]).unwrap(), Some(vec![2; 8]));
    let missing = LoadedProgram::by_id(u32::MAX - 1).unwrap_err();
    assert!(missing.to_string().contains("there is no program with the number"), "{missing}");
    assert!(matches!(LoadedMap::by_id(u32::MAX - 1), Err(KernelError::NoSuchId { kind: "map", .. })));
    assert!(matches!(OpenLink::by_id(u32::MAX - 1), Err(KernelError::NoSuchId { kind: "link", .. })));

    let mine = held_by(std::process::id());
    let fd = map.as_fd().as_raw_fd().cast_unsigned();
    assert!(mine.contains(&(fd, Held::Map(map.id()))), "{mine:?}");
    assert_eq!(mine.iter().filter(|(_, object)| *object == Held::Program(info.id)).count(), 2, "two descriptors");
    let all = holders();
    let me: Vec<_> = all.iter().filter(|holder| holder.object == Held::Map(map.id())).collect();
    assert!(me.iter().any(|holder| holder.pid == std::process::id() && !holder.command.is_empty()), "{me:?}");

    // What bpftool says about the same program.
    let Ok(output) = Command::new("bpftool").args(["-j", "-n", "prog", "show", "id", &info.id.to_string()]).output()
    else {
        return common::skip("bpftool is not installed");
    };
    let text = String::from_utf8_lossy(&output.stdout);
    let tag: String = info.tag.iter().map(|byte| format!("{byte:02x}")).collect();
    for part in [
        format!("\"tag\":\"{tag}\""),
        format!("\"bytes_xlated\":{}", info.translated_bytes),
        format!("\"bytes_jited\":{}", info.machine_bytes),
        "\"name\":\"listed\"".to_owned(),
        format!("\"uid\":{}", info.uid),
    ] {
        assert!(text.contains(&part), "{part}: {text}");
    }
}

#[test]
fn runs_are_counted() {
    if !can_load() {
        return;
    }
    let program = program("counted", ProgType::SchedCls, None, "r0 = 1\nexit\n");
    let statistics = enable_stats().unwrap();
    program.test_run(&[0; 64], 1000).unwrap();
    drop(statistics);
    let info = program.info().unwrap();
    // Test runs do not go through the counters of all kernels; they must not show more than there were.
    assert!(info.run_count <= 1000);
    assert_eq!(info.run_count == 0, info.run_time.is_zero(), "{info:?}");
}

#[test]
fn contexts_of_test_runs() {
    if !can_load() {
        return;
    }
    // Reads mark (offset 8) and priority (32), sets mark to 7 and writes into the packet.
    let program = program(
        "context",
        ProgType::SchedCls,
        None,
        "r0 = *(u32 *)(r1 +8)\nr2 = *(u32 *)(r1 +32)\nr0 += r2\nr2 = 7\n*(u32 *)(r1 +8) = r2\nexit\n",
    );
    let mut context = [0u8; 192];
    context[8..12].copy_from_slice(&40u32.to_ne_bytes());
    context[32..36].copy_from_slice(&2u32.to_ne_bytes());
    let output = program.test(&TestInput { data: &[1; 64], context: &context, repeat: 1, ..Default::default() });
    let output = output.unwrap();
    assert_eq!(output.run.result, 42);
    assert_eq!(output.data, [1; 64]);
    assert_eq!(output.context[8..12], 7u32.to_ne_bytes());
    context[0] = 1;
    let error = program.test(&TestInput { data: &[1; 64], context: &context, repeat: 1, ..Default::default() });
    assert!(error.unwrap_err().to_string().contains("192 bytes of context"));

    let raw = self::program("raw", ProgType::RawTracepoint, None, "r0 = *(u64 *)(r1 +8)\nexit\n");
    let arguments: Vec<u8> = [5u64, 99].iter().flat_map(|word| word.to_ne_bytes()).collect();
    let output = raw.test(&TestInput { context: &arguments, cpu: Some(0), ..Default::default() }).unwrap();
    assert_eq!(output.run.result, 99);
    let error = raw.test(&TestInput { context: &arguments, cpu: Some(100_000), ..Default::default() }).unwrap_err();
    assert!(error.to_string().contains("the processor"), "{error}");
}

#[test]
fn pinning() {
    if !can_load() {
        return;
    }
    let directory = tempfile::tempdir().unwrap();
    let (map, program) = (map("pinned"), program("pinned", ProgType::SchedCls, None, "r0 = 9\nexit\n"));
    let error = pin(&map, directory.path().join("x")).unwrap_err().to_string();
    assert!(error.contains("not in a BPF file system"), "{error}");
    if bpf_mounts().is_empty() {
        assert!(error.contains("`mount -t bpf bpf /sys/fs/bpf`"), "{error}");
    }
    assert!(!unpin(directory.path().join("nothing")).unwrap());
    std::fs::write(directory.path().join("file"), "text").unwrap();
    let error = unpin(directory.path().join("file")).unwrap_err().to_string();
    assert!(error.contains("left alone"), "{error}");
    assert!(directory.path().join("file").exists());

    // A file system of our own, which vanishes with the directory.
    let mounted = Command::new("mount").args(["-t", "bpf", "bpf"]).arg(directory.path()).status();
    if !mounted.is_ok_and(|status| status.success()) {
        return common::skip(&format!("cannot mount a BPF file system like the one at {BPFFS}"));
    }
    let outcome = std::panic::catch_unwind(|| on_bpffs(directory.path(), &map, &program));
    Command::new("umount").arg(directory.path()).status().unwrap();
    if let Err(panic) = outcome {
        std::panic::resume_unwind(panic);
    }
}

fn on_bpffs(directory: &Path, map: &LoadedMap, program: &LoadedProgram) {
    let place = |name: &str| directory.join(name);
    map.set(&[0; 4], &[3; 8], Update::Any).unwrap();
    pin(map, place("map")).unwrap();
    pin(program, place("program")).unwrap();
    assert!(bpf_mounts().contains(&directory.to_owned()));
    let message = |error: KernelError| error.to_string();
    assert!(message(pin(map, place("map")).unwrap_err()).contains("something is there already"));
    assert!(message(pin(map, place("no/such")).unwrap_err()).contains("mkdir -p"));
    assert!(message(pin(map, place("a.b")).unwrap_err()).contains("names with a dot"));
    let again = LoadedMap::pinned(place("map"), Rights::Read).unwrap();
    assert_eq!(again.id(), map.id());
    assert_eq!(again.get(&[0; 4]).unwrap(), Some(vec![3; 8]));
    assert!(matches!(again.set(&[0; 4], &[3; 8], Update::Any), Err(KernelError::NotPermitted { .. })));
    let writer = LoadedMap::pinned(place("map"), Rights::Write).unwrap();
    writer.set(&[0; 4], &[4; 8], Update::Any).unwrap();
    assert_eq!(LoadedProgram::pinned(place("program")).unwrap().test_run(&[0; 64], 1).unwrap().result, 9);
    assert!(message(LoadedProgram::pinned(place("map")).unwrap_err()).contains("it is no program but `bpf-map`"));
    assert!(message(OpenLink::pinned(place("map")).unwrap_err()).contains("it is no link"));
    assert!(message(LoadedMap::pinned(place("none"), Rights::All).unwrap_err()).contains("there is nothing"));
    assert!(message(unpin(directory).unwrap_err()).contains("it is not in a BPF file system"));
    std::fs::create_dir(place("sub")).unwrap();
    assert!(message(unpin(place("sub")).unwrap_err()).contains("it is a directory"));
    assert!(unpin(place("map")).unwrap() && !unpin(place("map")).unwrap());
    assert!(unpin(place("program")).unwrap());
    assert_eq!(map.get(&[0; 4]).unwrap(), Some(vec![4; 8]), "the map lives on");
    if !kernel_has("tokens", Release::new(6, 9)) {
        return;
    }
    let error = message(Token::create(directory).unwrap_err());
    assert!(error.contains("other user namespaces") || error.contains("delegates nothing"), "{error}");
    assert!(message(Token::create("/proc").unwrap_err()).contains("is not where a BPF file system is mounted"));
}

/// Makes a link with the kernel's plain call.
fn bpf(command: i32, attr: &mut [u64; 8]) -> std::io::Result<OwnedFd> {
    // SAFETY: the array is as long as is said, and the addresses in it are those of C strings in static memory.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, attr.as_mut_ptr(), size_of_val(attr)) };
    if fd < 0 {
        return Err(std::io::Error::last_os_error());
    }
    // SAFETY: the call succeeded, so the descriptor is open and belongs to nobody else.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as i32) })
}

/// `BPF_LINK_CREATE`: program, target, place, and the words behind the flags.
fn create(program: &LoadedProgram, target: u32, attach: AttachType, more: [u64; 3]) -> std::io::Result<OpenLink> {
    let fd = program.as_fd().as_raw_fd().cast_unsigned();
    let pair = |low: u32, high: u32| u64::from(high) << 32 | u64::from(low);
    let mut attr = [pair(fd, target), pair(attach.number(), 0), more[0], more[1], more[2], 0, 0, 0];
    bpf(28, &mut attr).map(OpenLink::from_fd)
}

#[test]
fn links_say_what_they_are() {
    if !can_load() {
        return;
    }
    // In a network namespace of this thread's own, which vanishes with it.
    let run = || {
        // SAFETY: no pointers are involved; only this thread changes its namespace.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            return common::skip("cannot make a network namespace");
        }
        links();
    };
    std::thread::spawn(run).join().unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

fn links() {
    let check = |link: &OpenLink, program: &LoadedProgram| {
        let info = link.info().unwrap();
        assert_eq!(info.program, program.info().unwrap().id);
        assert!(link_ids().any(|id| id.unwrap() == info.id));
        assert_eq!(OpenLink::by_id(info.id).unwrap().info().unwrap(), info);
        let held = held_by(std::process::id());
        assert!(held.iter().any(|(_, object)| *object == Held::Link { link: info.id, program: info.program }));
        info.target
    };
    let raw = program("raw", ProgType::RawTracepoint, None, "r0 = 0\nexit\n");
    static NAME: &std::ffi::CStr = c"sched_process_fork";
    let fd = raw.as_fd().as_raw_fd() as u64;
    let cookie = if kernel_has("cookies of raw tracepoints", Release::new(6, 10)) { 0xabcd } else { 0 };
    let mut attr = [NAME.as_ptr().expose_provenance() as u64, fd, cookie, 0, 0, 0, 0, 0];
    let link = OpenLink::from_fd(bpf(17, &mut attr).unwrap());
    let target = check(&link, &raw);
    let LinkTarget::RawTracepoint { name, cookie: told } = &target else { panic!("{target:?}") };
    assert_eq!(name, "sched_process_fork");
    // Kernels had cookies some releases before they told them.
    let old = skep_kernel::running_release().unwrap() < Release::new(6, 18);
    assert!(*told == cookie || old && *told == 0, "{told:#x}");
    let used = descriptor_use(std::process::id(), link.as_fd().as_raw_fd().cast_unsigned()).unwrap().unwrap();
    assert_eq!(used.place, ProbePlace::RawTracepoint("sched_process_fork".to_owned()));
    assert_eq!(used.program, raw.info().unwrap().id);
    assert_eq!(descriptor_use(std::process::id(), 0).unwrap(), None);

    let lookup = program("lookup", ProgType::SkLookup, Some(AttachType::SkLookup), "r0 = 1\nexit\n");
    let netns = File::open("/proc/thread-self/ns/net").unwrap();
    let link = create(&lookup, netns.as_raw_fd().cast_unsigned(), AttachType::SkLookup, [0; 3]).unwrap();
    let target = check(&link, &lookup);
    use std::os::unix::fs::MetadataExt;
    let inode = netns.metadata().unwrap().ino();
    assert!(
        matches!(target, LinkTarget::Netns { netns, attach_type } if u64::from(netns) == inode
            && attach_type.known == Some(AttachType::SkLookup)),
        "{target:?}"
    );

    if kernel_has("links of traffic control", AttachType::TcxIngress.since()) {
        let tcx = program("tcx", ProgType::SchedCls, None, "r0 = -1\nexit\n");
        let link = create(&tcx, 1, AttachType::TcxIngress, [0; 3]).unwrap();
        let target = check(&link, &tcx);
        assert!(matches!(target, LinkTarget::Tcx { ifindex: 1, .. }), "{target:?}");
    }
    let xdp = program("xdp", ProgType::Xdp, Some(AttachType::Xdp), "r0 = 2\nexit\n");
    let link = create(&xdp, 1, AttachType::Xdp, [0; 3]).unwrap();
    assert_eq!(check(&link, &xdp), LinkTarget::Xdp { ifindex: 1 });

    if kernel_has("programs for netfilter", ProgType::Netfilter.since()) {
        netfilter(&check);
    }
    cgroup(&check);
}

fn netfilter(check: &dyn Fn(&OpenLink, &LoadedProgram) -> LinkTarget) {
    let filter = program("filter", ProgType::Netfilter, Some(AttachType::Netfilter), "r0 = 1\nexit\n");
    // Protocol and hook, priority and flags.
    let made = create(&filter, 0, AttachType::Netfilter, [2 | 1 << 32, (-5i32).cast_unsigned().into(), 0]);
    match made {
        Ok(link) => {
            let expected = LinkTarget::Netfilter { protocol: 2, hook: 1, priority: -5, flags: 0 };
            assert_eq!(check(&link, &filter), expected);
        }
        Err(error) => common::skip(&format!("the kernel makes no netfilter link: {error}")),
    }
}

fn cgroup(check: &dyn Fn(&OpenLink, &LoadedProgram) -> LinkTarget) {
    let mounts = std::fs::read_to_string("/proc/self/mounts").unwrap();
    let Some(root) = mounts.lines().find(|line| line.split(' ').nth(2) == Some("cgroup2")) else {
        return common::skip("no cgroup2 is mounted");
    };
    let root = root.split(' ').nth(1).unwrap();
    let group = Path::new(root).join(format!("skep-kcmd-{}", std::process::id()));
    std::fs::create_dir(&group).unwrap();
    let ingress = program("group", ProgType::CgroupSkb, Some(AttachType::CgroupInetIngress), "r0 = 1\nexit\n");
    let directory = File::open(&group).unwrap();
    let made = create(&ingress, directory.as_raw_fd().cast_unsigned(), AttachType::CgroupInetIngress, [0; 3]);
    use std::os::unix::fs::MetadataExt;
    let inode = directory.metadata().unwrap().ino();
    let target = made.map(|link| check(&link, &ingress));
    std::fs::remove_dir(&group).unwrap();
    match target {
        Ok(LinkTarget::Cgroup { cgroup, attach_type }) => {
            assert_eq!((cgroup, attach_type.known), (inode, Some(AttachType::CgroupInetIngress)));
        }
        Ok(other) => panic!("{other:?}"),
        Err(error) => common::skip(&format!("the kernel makes no cgroup link: {error}")),
    }
}

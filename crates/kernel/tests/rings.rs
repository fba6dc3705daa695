//! Ring buffers, user ring buffers and perf buffers: nothing is lost without being counted.

mod common;

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use common::{can_load, compile};
use skep_kernel::{
    KernelError, Loaded, LoadedMap, MapDefinition, PerfBuffer, PerfRecord, RingBuffer, Update, UserRingBuffer, load,
};

const PACKET: [u8; 64] = [0; 64];

fn setup() -> Option<Loaded> {
    if !can_load() {
        return None;
    }
    let object = compile("rings.c", &["-mcpu=v3"])?;
    Some(load(&object).unwrap_or_else(|error| panic!("{error}")))
}

fn map<'a>(loaded: &'a Loaded, name: &str) -> &'a LoadedMap {
    loaded.maps.iter().find(|map| map.name() == name).unwrap()
}

/// The counters: made, failed, thrown, drained.
fn counters(loaded: &Loaded) -> [u64; 4] {
    let bytes = map(loaded, ".bss").get(&[0; 4]).unwrap().unwrap();
    let words: Vec<u64> = bytes.as_chunks::<8>().0.iter().map(|word| u64::from_ne_bytes(*word)).collect();
    [words[0], words[1], words[2], words[3]]
}

fn number(record: &[u8]) -> u64 {
    u64::from_ne_bytes(record[..8].try_into().unwrap())
}

fn check(record: &[u8]) -> u64 {
    let number = number(record);
    assert_eq!(record[56..64], (!number).to_ne_bytes(), "record {number} is damaged");
    number
}

#[test]
fn every_record_arrives_or_is_counted() {
    let Some(loaded) = setup() else { return };
    let program = loaded.program("produce").unwrap();
    let mut ring = RingBuffer::open(map(&loaded, "ring")).unwrap();
    assert!(matches!(RingBuffer::open(map(&loaded, "ring")), Err(KernelError::Invalid { .. })), "one reader only");
    assert!(matches!(RingBuffer::open(map(&loaded, "events")), Err(KernelError::Invalid { .. })));
    let (mut seen, mut delivered, mut last) = (Vec::new(), 0, None);
    // The ring holds 910 records of 72 bytes: some rounds fill it, others do not, and it wraps around many times.
    for round in 0..40 {
        program.test_run(&PACKET, if round % 3 == 0 { 1500 } else { 400 }).unwrap();
        assert!(ring.pending() > 0 && ring.pending() <= ring.size() as u64);
        delivered += ring
            .consume(|record| {
                assert_eq!(record.len(), 64);
                let number = check(record);
                assert!(last.is_none_or(|last| last < number) && number % 10 != 3);
                last = Some(number);
                seen.push(number);
                ControlFlow::Continue(())
            })
            .unwrap();
        assert_eq!(ring.pending(), 0);
    }
    let [made, failed, thrown, _] = counters(&loaded);
    assert_eq!(made, 40 / 3 * 1500 + 1500 + (40 - 14) * 400);
    assert_eq!(seen.len() as u64, delivered);
    assert_eq!(delivered + failed + thrown, made);
    assert!(failed > 1000 && thrown > 1000 && delivered > 10_000, "{failed} {thrown} {delivered}");

    // A break leaves the rest for later.
    program.test_run(&PACKET, 30).unwrap();
    let mut one = 0;
    assert_eq!(ring.consume(|_| ControlFlow::Break(())).unwrap(), 1);
    while ring.consume(|_| ControlFlow::Break(())).unwrap() == 1 {
        one += 1;
    }
    assert_eq!(one, 26);
    drop(ring);
    assert!(RingBuffer::open(map(&loaded, "ring")).is_ok(), "the place is free again");
}

#[test]
fn readers_on_another_thread_miss_nothing() {
    let Some(loaded) = setup() else { return };
    let (stop, seen) = (AtomicBool::new(false), AtomicU64::new(0));
    for spin in [false, true] {
        let before = counters(&loaded);
        let mut ring = RingBuffer::open(map(&loaded, "ring")).unwrap();
        stop.store(false, Ordering::Relaxed);
        seen.store(0, Ordering::Relaxed);
        let mut rounds = 0;
        let delivered = std::thread::scope(|scope| {
            let reader = scope.spawn(|| {
                let (mut delivered, mut last) = (0, None);
                loop {
                    // What was produced before the flag was set is seen by the round after it.
                    let stopped = stop.load(Ordering::Acquire);
                    let mut each = |record: &[u8]| {
                        let number = check(record);
                        assert!(last.is_none_or(|last| last < number), "{last:?} {number}");
                        last = Some(number);
                        ControlFlow::Continue(())
                    };
                    delivered += if spin {
                        ring.spin(Duration::from_millis(2), &mut each).unwrap()
                    } else {
                        ring.wait(Some(Duration::from_millis(20)), &mut each).unwrap()
                    };
                    seen.store(delivered, Ordering::Relaxed);
                    if stopped {
                        return delivered;
                    }
                }
            });
            // The ring holds less than a round: on a busy machine the reader may not run for some of them.
            rounds = 0;
            while rounds < 30 || (rounds < 3000 && seen.load(Ordering::Relaxed) <= 1000) {
                loaded.program("produce").unwrap().test_run(&PACKET, 5000).unwrap();
                rounds += 1;
            }
            stop.store(true, Ordering::Release);
            reader.join().unwrap()
        });
        let after = counters(&loaded);
        let [made, failed, thrown] = [0, 1, 2].map(|index| after[index] - before[index]);
        assert_eq!(made, rounds * 5000);
        assert_eq!(delivered + failed + thrown, made, "spin: {spin}");
        assert!(delivered > 1000);
    }
    // Nothing comes: the wait ends on time.
    let mut ring = RingBuffer::open(map(&loaded, "ring")).unwrap();
    let start = std::time::Instant::now();
    assert_eq!(ring.wait(Some(Duration::from_millis(30)), |_| ControlFlow::Continue(())).unwrap(), 0);
    assert!(start.elapsed() >= Duration::from_millis(29));
}

#[test]
fn perf_buffers_report_what_they_lose() {
    let Some(loaded) = setup() else { return };
    let program = loaded.program("produce_events").unwrap();
    let mut buffer = PerfBuffer::open(map(&loaded, "events"), 4, 1).unwrap();
    assert!(matches!(PerfBuffer::open(map(&loaded, "events"), 4, 1), Err(KernelError::Invalid { .. })));
    let (mut delivered, mut lost, mut per_cpu) = (0, 0, std::collections::HashMap::new());
    for round in 0..60 {
        program.test_run(&PACKET, if round % 2 == 0 { 400 } else { 50 }).unwrap();
        let samples = buffer
            .consume(|record| match record {
                PerfRecord::Sample { cpu, data } => {
                    assert_eq!(data.len(), 68, "rounded up to a multiple of 8 minus 4");
                    let number = check(data);
                    let last = per_cpu.insert(cpu, number);
                    assert!(last.is_none_or(|last| last < number));
                }
                PerfRecord::Lost { count, .. } => lost += count,
            })
            .unwrap();
        delivered += samples;
    }
    // The kernel reports losses with the next record that fits, on each processor.
    for _ in 0..200 {
        if delivered + lost == counters(&loaded)[0] {
            break;
        }
        program.test_run(&PACKET, 1).unwrap();
        delivered += buffer
            .wait(Some(Duration::from_millis(10)), |record| {
                if let PerfRecord::Lost { count, .. } = record {
                    lost += count;
                }
            })
            .unwrap();
        std::thread::sleep(Duration::from_millis(1));
    }
    let [made, failed, ..] = counters(&loaded);
    assert_eq!(delivered + lost, made);
    assert_eq!((lost, buffer.lost()), (failed, failed));
    assert!(lost > 1000 && delivered > 1000, "{lost} {delivered}");
}

#[test]
fn programs_drain_what_user_space_writes() {
    let Some(loaded) = setup() else { return };
    let program = loaded.program("drain_commands").unwrap();
    let mut ring = UserRingBuffer::open(map(&loaded, "commands")).unwrap();
    assert!(UserRingBuffer::open(map(&loaded, "commands")).is_err());
    let mut sum = 0u64;
    let mut count = 0;
    for round in 0..200u64 {
        let mut full = false;
        for number in 0..(round % 90) {
            let length = 8 + (number as usize * 7) % 90;
            let mut room = match ring.reserve(length).unwrap() {
                Some(room) => room,
                None => {
                    full = true;
                    break;
                }
            };
            assert!(room.iter().all(|byte| *byte == 0) && room.len() == length);
            room[..8].copy_from_slice(&number.to_ne_bytes());
            if number % 5 == 4 {
                drop(room);
            } else {
                room.submit();
                (sum, count) = (sum + number, count + 1);
            }
        }
        assert!(!full || ring.free() < 106);
        program.test_run(&PACKET, 1).unwrap();
        assert_eq!(ring.free(), 4096, "round {round}");
    }
    let [made, _, _, drained] = counters(&loaded);
    assert_eq!((made, drained), (count, sum));
    assert!(ring.push(&[1; 8]).unwrap());
    assert!(matches!(ring.push(&[0; 4096]), Err(KernelError::Invalid { .. })));
    while ring.push(&[1; 40]).unwrap() {}
    assert!(ring.free() < 48);
}

#[test]
fn maps_of_the_wrong_kind() {
    if !can_load() {
        return;
    }
    let definition = MapDefinition {
        name: "plain",
        map_type: skep_isa::MapType::Array,
        key_size: 4,
        value_size: 4,
        max_entries: 1,
        flags: 0,
    };
    let map = LoadedMap::create(&definition).unwrap();
    map.set(&[0; 4], &[0; 4], Update::Any).unwrap();
    let error = PerfBuffer::open(&map, 1, 1).unwrap_err();
    assert!(error.to_string().contains("map `plain` is not of type perf_event_array"), "{error}");
    assert!(UserRingBuffer::open(&map).is_err() && RingBuffer::open(&map).is_err());
}

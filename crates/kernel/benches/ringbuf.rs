//! How many records of 64 bytes a second go through a ring buffer: one processor produces as fast as it can, another one
//! counts. With epoll, and without sleeping.
//!
//! `cargo bench -p skep-kernel --bench ringbuf`

use std::ops::ControlFlow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use skep_isa::ebpf::assemble;
use skep_isa::{MapType, ProgType};
use skep_kernel::{LoadedMap, MapDefinition, RingBuffer, load};
use skep_object::{MapSpec, Object, Program};

/// Runs of the program for each measurement; each makes `PER_RUN` records.
const RUNS: u32 = 4000;
const PER_RUN: u32 = 1000;

/// A program that makes `PER_RUN` records and counts those that do not fit. `flags` are those of submitting.
fn producer(flags: u32) -> Object {
    let mut object = Object::new("GPL");
    let ring = object.add_map(MapSpec::new("ring", MapType::Ringbuf, 0, 0, 1 << 24));
    let failed = object.add_map(MapSpec::new("failed", MapType::Array, 4, 8, 1));
    let text = format!(
        "r6 = 0\nr7 = 0\n\
         r1 = map[fd:{}] ll\nr2 = 64\nr3 = 0\ncall 131\nif r0 == 0 goto +6\n\
         *(u64 *)(r0 +0) = r6\nr1 = r0\nr2 = {flags}\ncall 132\nr6 += 1\ngoto +2\n\
         r7 += 1\nr6 += 1\nif r6 < {PER_RUN} goto -15\n\
         *(u32 *)(r10 -4) = 0\nr2 = r10\nr2 += -4\nr1 = map[fd:{}] ll\ncall 1\nif r0 == 0 goto +1\n\
         lock *(u64 *)(r0 +0) += r7\nr0 = 0\nexit\n",
        ring.0, failed.0
    );
    object.add_program(Program::new("producer", ProgType::SchedCls, assemble(&text).expect("the text above")));
    object
}

fn measure(name: &str, flags: u32, spin: bool) -> Result<(), Box<dyn std::error::Error>> {
    let loaded = load(&producer(flags))?;
    let mut ring = RingBuffer::open(&loaded.maps[0])?;
    let done = AtomicBool::new(false);
    let start = Instant::now();
    let (delivered, busy) = std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut delivered = 0u64;
            loop {
                let last = done.load(Ordering::Acquire);
                let mut sum = 0u64;
                let mut each = |record: &[u8]| {
                    sum = sum.wrapping_add(record.len() as u64);
                    ControlFlow::Continue(())
                };
                let records = if spin {
                    ring.spin(Duration::from_millis(1), &mut each)
                } else {
                    ring.wait(Some(Duration::from_millis(10)), &mut each)
                };
                let records = records.expect("a sound ring");
                assert_eq!(sum, records * 64);
                delivered += records;
                if last {
                    return delivered;
                }
            }
        });
        for _ in 0..RUNS {
            loaded.programs[0].test_run(&[0; 64], 1).expect("a run");
        }
        let busy = start.elapsed();
        done.store(true, Ordering::Release);
        (reader.join().expect("the reader"), busy)
    });
    let failed = loaded.maps[1].get(&[0; 4])?.map_or(0, |value| u64::from_ne_bytes(value.try_into().expect("8 bytes")));
    let made = u64::from(RUNS * PER_RUN);
    assert_eq!(delivered + failed, made, "records got lost without being counted");
    let rate = delivered as f64 / busy.as_secs_f64() / 1e6;
    println!("{name:<34} {rate:6.2} million records/s delivered, {failed} of {made} did not fit");
    Ok(())
}

/// How fast the reader alone is: the ring is filled while nobody reads.
fn drain() -> Result<(), Box<dyn std::error::Error>> {
    let loaded = load(&producer(1))?;
    let mut ring = RingBuffer::open(&loaded.maps[0])?;
    let (mut records, mut time) = (0, Duration::ZERO);
    for _ in 0..20 {
        for _ in 0..230 {
            loaded.programs[0].test_run(&[0; 64], 1)?;
        }
        let start = Instant::now();
        let mut bytes = 0u64;
        records += ring.consume(|record| {
            bytes += record.len() as u64;
            ControlFlow::Continue(())
        })?;
        time += start.elapsed();
        std::hint::black_box(bytes);
    }
    let rate = records as f64 / time.as_secs_f64() / 1e6;
    println!("{:<34} {rate:6.2} million records/s", "reader alone, full ring");
    Ok(())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let probe = MapDefinition {
        name: "probe",
        map_type: MapType::Ringbuf,
        key_size: 0,
        value_size: 0,
        max_entries: 4096,
        flags: 0,
    };
    if let Err(error) = LoadedMap::create(&probe) {
        println!("SKIPPED: {error}");
        return Ok(());
    }
    drain()?;
    measure("epoll, kernel decides on wake-ups", 0, false)?;
    measure("busy, no wake-ups", 1, true)?;
    Ok(())
}

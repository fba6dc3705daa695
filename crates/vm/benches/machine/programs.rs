//! The thirteen programs: their sources, inputs and the first contents of their maps.

use skep_isa::MapType;
use skep_object::MapSpec;

/// One program of the benchmark.
#[derive(Debug, Clone, Copy)]
pub struct Program {
    /// Its name; the source is `benches/programs/NAME.c`.
    pub name: &'static str,
    /// What one run does.
    pub work: &'static str,
    /// Whether it counts in the geometric mean. Left out are those that measure mostly how a program is entered, and
    /// the hash map, whose kernel version has to work for many processors at once.
    pub in_mean: bool,
    /// The packet.
    pub input: fn() -> Vec<u8>,
    /// The maps that its source declares, with their first contents.
    pub maps: fn() -> Vec<MapSpec>,
}

// TABLE
/// All programs, in the order of the report.
pub const PROGRAMS: [Program; 13] = [
    row("nop", "nothing", false, || random(64), none),
    row("parse", "Ethernet, IP, TCP", false, tcp_packet, none),
    row("csum", "1500 bytes", true, || random(1500), none),
    row("jhash", "1440 bytes", true, || random(1440), none),
    row("sieve", "primes below 2048", true, || random(64), none),
    row("matrix", "12 products, 6x6", true, || random(288), none),
    row("tree", "1000 decisions", true, || random(256), none),
    row("loop", "20,000 xorshift*", true, || random(64), none),
    row("divmod", "100 gcds", true, || random(800), none),
    row("calls", "2000 local calls", true, || random(64), none),
    row("atomic", "1000 additions", true, || random(64), none),
    row("array", "1000 look-ups", true, || random(64), || numbers(MapType::Array, 1024)),
    row("hash", "1000 look-ups", false, || random(64), || numbers(MapType::Hash, 1000)),
];

const fn row(
    name: &'static str,
    work: &'static str,
    in_mean: bool,
    input: fn() -> Vec<u8>,
    maps: fn() -> Vec<MapSpec>,
) -> Program {
    Program { name, work, in_mean, input, maps }
}

fn none() -> Vec<MapSpec> {
    Vec::new()
}

/// The map `numbers` of `array.c` and `hash.c` with this many keys in it.
fn numbers(map_type: MapType, keys: u32) -> Vec<MapSpec> {
    let mut map = MapSpec::new("numbers", map_type, 4, 8, 1024);
    let value = |key: u32| u64::from(key).wrapping_mul(0x9e37_79b9_7f4a_7c15).to_ne_bytes().to_vec();
    map.contents = (0..keys).map(|key| (key.to_ne_bytes().to_vec(), value(key))).collect();
    vec![map]
}

/// Bytes of the 64-bit congruential generator with Knuth's constants: the same in every run.
fn random(bytes: usize) -> Vec<u8> {
    let mut state = 1u64;
    let next = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 56) as u8
    };
    (0..bytes).map(next).collect()
}

/// A SYN from port 51234 to port 443, with one word of IP options.
fn tcp_packet() -> Vec<u8> {
    let ethernet = [2, 0, 0, 0, 0, 1, 2, 0, 0, 0, 0, 2, 0x08, 0x00];
    let ip = [0x46, 0, 0, 44, 0, 1, 0x40, 0, 64, 6, 0, 0, 192, 0, 2, 1, 198, 51, 100, 1, 1, 1, 1, 0];
    let ports = [0xc8, 0x22, 0x01, 0xbb];
    let tcp = [0, 0, 0, 1, 0, 0, 0, 0, 0x50, 0x02, 0xff, 0xff, 0, 0, 0, 0];
    [&ethernet[..], &ip, &ports, &tcp].concat()
}

//! Every kind of attachment in the running kernel: a program counts into a map, the test makes the event happen and
//! looks at the count; then it detaches and looks again. Needs root; reports what it skips.

#[path = "../common/mod.rs"]
mod common;

mod cgroup;
mod killed;
mod many;
mod network;
mod order;
mod perf;
mod probes;
mod sockets;
mod support;
mod tracing;

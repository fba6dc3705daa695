//! Live capture on real interfaces in network namespaces of their own, filtered in the kernel, counted exactly.
//!
//! Needs the privileges to make namespaces (root); reports what it skips.

mod errors;
mod kinds;
mod net;
mod traffic;

//! Packets, expressions and oracles for tests. Development only.

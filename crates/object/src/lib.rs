//! Programs and maps as plain data: the same bytes on every machine, accepted by every executor.

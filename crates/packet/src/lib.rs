//! skep-packet

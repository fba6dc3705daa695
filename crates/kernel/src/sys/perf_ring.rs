//! Performance events as far as the perf buffer needs them: an event that programs write to, and its ring.

use std::os::fd::OwnedFd;

use super::layout::{constants, plain};
use super::perf::{PerfAttr, open};

plain! {
    /// `struct perf_event_header`, with which every record begins.
    struct RecordHeader = "perf_event_header" {
        r#type: u32,
        misc: u16,
        size: u16,
    }

    /// The end of `struct perf_event_mmap_page`; the data of the ring begin at `data_offset`.
    struct RingControl = "perf_event_mmap_page" {
        pad: [[u64; 32]; 4],
        data_head: u64,
        data_tail: u64,
        data_offset: u64,
        data_size: u64,
    }
}

constants! {
    /// Numbers of `linux/perf_event.h`.
    mod perf: u32 = "PERF_" {
        TYPE_SOFTWARE = 1,
        COUNT_SW_BPF_OUTPUT = 10,
        SAMPLE_RAW = 1024,
        RECORD_LOST = 2,
        RECORD_SAMPLE = 9,
    }
}

/// Opens an event on a processor to which programs can write records (`bpf_perf_event_output`). The reader is woken after
/// `wakeup` records.
pub(crate) fn open_output(cpu: u32, wakeup: u32) -> Result<OwnedFd, i32> {
    let attr = PerfAttr {
        r#type: perf::TYPE_SOFTWARE,
        config: perf::COUNT_SW_BPF_OUTPUT.into(),
        sample_period: 1,
        sample_type: perf::SAMPLE_RAW.into(),
        wakeup_events: wakeup,
        ..PerfAttr::default()
    };
    open(attr, None, -1, i32::try_from(cpu).map_err(|_| libc::EINVAL)?)
}

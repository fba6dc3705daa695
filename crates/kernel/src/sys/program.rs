//! Commands of `bpf(2)` on programs: load and run.

use std::ffi::{CStr, c_int};
use std::os::fd::{BorrowedFd, OwnedFd};

use super::attr::{FuncInfo, LineInfo, ProgLoad, TestRun, cmd};
use super::bpf::{address, bpf, owned, raw};

/// What a program is made of; the rest of `BPF_PROG_LOAD` is numbers.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Parts<'a> {
    pub(crate) insns: &'a [[u8; 8]],
    pub(crate) license: &'a CStr,
    pub(crate) functions: &'a [FuncInfo],
    pub(crate) lines: &'a [LineInfo],
    /// Descriptors that instructions refer to by their position.
    pub(crate) fd_array: &'a [c_int],
}

/// The address of what may be missing, for which the kernel demands 0.
fn slice_address<T>(slice: &[T]) -> u64 {
    if slice.is_empty() { 0 } else { address(slice.as_ptr()) }
}

fn count<T>(slice: &[T]) -> Result<u32, i32> {
    u32::try_from(slice.len()).map_err(|_| libc::E2BIG)
}

/// Loads a program. `attr` gives types, name, flags and descriptors; addresses and lengths are filled in here.
///
/// On success or failure the beginning of `log` holds the verifier's log if `attr.log_level` is not 0, and
/// `attr.log_true_size` how long it would have been (Linux 6.4; 0 before).
pub(crate) fn prog_load(attr: &mut ProgLoad, parts: Parts<'_>, log: &mut [u8]) -> Result<OwnedFd, i32> {
    attr.insn_cnt = count(parts.insns)?;
    attr.insns = address(parts.insns.as_ptr());
    attr.license = address(parts.license.as_ptr());
    if !parts.functions.is_empty() {
        attr.func_info = slice_address(parts.functions);
        attr.func_info_cnt = count(parts.functions)?;
        attr.func_info_rec_size = size_of::<FuncInfo>() as u32;
    }
    if !parts.lines.is_empty() {
        attr.line_info = slice_address(parts.lines);
        attr.line_info_cnt = count(parts.lines)?;
        attr.line_info_rec_size = size_of::<LineInfo>() as u32;
    }
    // Without a count the kernel reads those entries that instructions refer to; with one it takes over all. The first
    // works since Linux 5.14, and the caller has made sure that no instruction refers beyond the end.
    attr.fd_array = slice_address(parts.fd_array);
    if attr.log_level != 0 {
        attr.log_size = count(log)?;
        attr.log_buf = address(log.as_mut_ptr().cast_const());
    }
    // SAFETY: the kernel reads `insn_cnt` slots of eight bytes, a C string, records of the size and number that is passed
    // with them and entries of `fd_array` that exist, and writes at most `log_size` bytes to the log. All of them live
    // through the call.
    unsafe { bpf(cmd::PROG_LOAD, attr) }.map(owned)
}

/// A test run with everything.
#[derive(Debug, Default)]
pub(crate) struct Run<'a> {
    pub(crate) data: &'a [u8],
    pub(crate) data_out: &'a mut [u8],
    pub(crate) context: &'a [u8],
    pub(crate) context_out: &'a mut [u8],
    pub(crate) repeat: u32,
    pub(crate) flags: u32,
    pub(crate) cpu: u32,
    pub(crate) batch_size: u32,
}

/// Runs a program. The result has the returned value, the mean duration in nanoseconds, and the lengths of the outputs,
/// which may exceed the buffers.
pub(crate) fn test_run(program: BorrowedFd<'_>, run: &mut Run<'_>) -> Result<TestRun, i32> {
    let mut attr = TestRun {
        prog_fd: raw(program),
        data_size_in: count(run.data)?,
        data_size_out: count(run.data_out)?,
        data_in: slice_address(run.data),
        data_out: slice_address(run.data_out),
        ctx_size_in: count(run.context)?,
        ctx_size_out: count(run.context_out)?,
        ctx_in: slice_address(run.context),
        ctx_out: slice_address(run.context_out),
        repeat: run.repeat,
        flags: run.flags,
        cpu: run.cpu,
        batch_size: run.batch_size,
        ..TestRun::default()
    };
    // SAFETY: the kernel reads `data_size_in` and `ctx_size_in` bytes and writes at most `data_size_out` and
    // `ctx_size_out`, nothing at address 0; the buffers are as long, and those that are written are borrowed mutably.
    unsafe { bpf(cmd::PROG_TEST_RUN, &mut attr) }?;
    Ok(attr)
}

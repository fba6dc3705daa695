//! Faults of compiled code, and of nothing else, become stops of the program.
//!
//! The handler looks at the program counter. In the arena it can only be an access of a program: the registers are
//! stored in the state and the thread goes on at the exit stub. Everywhere else the fault is none of ours, and the
//! handler that was there before gets it.

use std::ffi::{c_int, c_void};
use std::io;
use std::mem::MaybeUninit;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicUsize, Ordering};

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
use crate::ebpf::state::state_of;

static START: AtomicUsize = AtomicUsize::new(0);
static BYTES: AtomicUsize = AtomicUsize::new(0);
static EXIT: AtomicUsize = AtomicUsize::new(0);
/// The handlers before ours, for SIGSEGV and SIGBUS.
static OLD: OnceLock<[libc::sigaction; 2]> = OnceLock::new();

/// Installs the handler for faults of the code in `bytes` bytes at `start`; it goes on at `exit`.
///
/// # Errors
/// What sigaction(2) says.
pub(super) fn install(start: usize, bytes: usize, exit: usize) -> io::Result<()> {
    START.store(start, Ordering::Release);
    BYTES.store(bytes, Ordering::Release);
    EXIT.store(exit, Ordering::Release);
    let mut old = [MaybeUninit::zeroed(), MaybeUninit::zeroed()];
    for (signal, old) in [libc::SIGSEGV, libc::SIGBUS].into_iter().zip(&mut old) {
        // SAFETY: `old` has room for the action; all zeros are an action without handler.
        let result = unsafe { libc::sigaction(signal, std::ptr::null(), old.as_mut_ptr()) };
        if result != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    // SAFETY: zeroed, and filled by sigaction(2).
    OLD.get_or_init(|| old.map(|old| unsafe { old.assume_init() }));
    for signal in [libc::SIGSEGV, libc::SIGBUS] {
        // SAFETY: all zeros are an action without handler and with an empty mask.
        let mut action: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
        action.sa_sigaction = handler as extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) as usize;
        action.sa_flags = libc::SA_SIGINFO | libc::SA_ONSTACK;
        // SAFETY: the handler only does what is allowed in a handler.
        if unsafe { libc::sigaction(signal, &raw const action, std::ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

extern "C" fn handler(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    #[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
    if leave_program(context) {
        return;
    }
    pass_on(signal, info, context);
}

/// Makes the thread go on at the exit stub if a program of ours faulted.
#[cfg(target_arch = "x86_64")]
fn leave_program(context: *mut c_void) -> bool {
    use libc::{
        REG_R8, REG_R9, REG_R10, REG_R11, REG_R12, REG_R13, REG_R14, REG_R15, REG_RAX, REG_RBP, REG_RBX, REG_RCX,
        REG_RDI, REG_RDX, REG_RIP, REG_RSI, REG_RSP,
    };
    /// Indices of the registers in the order of their encodings.
    const ORDER: [c_int; 16] = [
        REG_RAX, REG_RCX, REG_RDX, REG_RBX, REG_RSP, REG_RBP, REG_RSI, REG_RDI, REG_R8, REG_R9, REG_R10, REG_R11,
        REG_R12, REG_R13, REG_R14, REG_R15,
    ];
    // SAFETY: the kernel passes the context of the thread.
    let registers = unsafe { &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext.gregs };
    let pc = registers[REG_RIP as usize] as usize;
    if pc.wrapping_sub(START.load(Ordering::Acquire)) >= BYTES.load(Ordering::Acquire) {
        return false;
    }
    let base = registers[REG_R12 as usize] as usize as *mut u8;
    // SAFETY: in the arena this register is the base of the cage, with its state in front.
    let state = unsafe { &mut *state_of(base) };
    state.stop_pc = pc as u64;
    for (to, index) in state.stop_registers.iter_mut().zip(ORDER) {
        *to = registers[index as usize].cast_unsigned();
    }
    registers[REG_RIP as usize] = EXIT.load(Ordering::Acquire) as i64;
    true
}

/// Makes the thread go on at the exit stub if a program of ours faulted.
#[cfg(target_arch = "aarch64")]
fn leave_program(context: *mut c_void) -> bool {
    // SAFETY: the kernel passes the context of the thread.
    let machine = unsafe { &mut (*context.cast::<libc::ucontext_t>()).uc_mcontext };
    let pc = machine.pc as usize;
    if pc.wrapping_sub(START.load(Ordering::Acquire)) >= BYTES.load(Ordering::Acquire) {
        return false;
    }
    // Register 26 is `BASE` of the generator.
    let base = machine.regs[26] as usize as *mut u8;
    // SAFETY: in the arena this register is the base of the cage, with its state in front.
    let state = unsafe { &mut *state_of(base) };
    state.stop_pc = machine.pc;
    state.stop_registers[..31].copy_from_slice(&machine.regs);
    machine.pc = EXIT.load(Ordering::Acquire) as u64;
    true
}

/// Does with a fault what would have been done without us.
fn pass_on(signal: c_int, info: *mut libc::siginfo_t, context: *mut c_void) {
    let old = OLD.get().map(|old| old[usize::from(signal == libc::SIGBUS)]);
    match old {
        Some(old) if old.sa_sigaction != libc::SIG_DFL && old.sa_sigaction != libc::SIG_IGN => {
            if old.sa_flags & libc::SA_SIGINFO != 0 {
                // SAFETY: with this flag the action is a function of this type.
                let function: extern "C" fn(c_int, *mut libc::siginfo_t, *mut c_void) =
                    unsafe { std::mem::transmute(old.sa_sigaction) };
                function(signal, info, context);
            } else {
                // SAFETY: without the flag it is one of this type.
                let function: extern "C" fn(c_int) = unsafe { std::mem::transmute(old.sa_sigaction) };
                function(signal);
            }
        }
        _ => {
            // The access faults again, and the process ends as it would have.
            // SAFETY: setting the default action is allowed in a handler.
            unsafe { libc::signal(signal, libc::SIG_DFL) };
        }
    }
}

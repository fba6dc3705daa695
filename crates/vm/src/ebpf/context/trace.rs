//! Contexts of tracing programs: arguments of raw tracepoints and registers of probes, as bytes for
//! [`Input::context`](crate::ebpf::Input::context). Records of tracepoints are bytes already.

/// Most arguments of a raw tracepoint (`MAX_BPF_FUNC_ARGS` in `linux/bpf.h`).
const MAX_ARGUMENTS: usize = 12;

/// The context of a raw tracepoint: its arguments as 64-bit numbers (`struct bpf_raw_tracepoint_args`).
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RawTracepoint {
    bytes: Vec<u8>,
}

impl RawTracepoint {
    /// With these arguments; the kernel has none beyond the twelfth, and later ones are left out.
    pub fn new(arguments: &[u64]) -> Self {
        let kept = arguments.iter().take(MAX_ARGUMENTS);
        Self { bytes: kept.flat_map(|argument| argument.to_ne_bytes()).collect() }
    }

    /// The bytes of the context.
    pub fn bytes(&mut self) -> &mut [u8] {
        &mut self.bytes
    }
}

/// A register in `struct pt_regs` of x86-64 (`arch/x86/include/uapi/asm/ptrace.h`), in its order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[expect(missing_docs, reason = "the names are those of the registers")]
pub enum X86Register {
    R15,
    R14,
    R13,
    R12,
    Rbp,
    Rbx,
    R11,
    R10,
    R9,
    R8,
    Rax,
    Rcx,
    Rdx,
    Rsi,
    Rdi,
    OrigRax,
    Rip,
    Cs,
    Eflags,
    Rsp,
    Ss,
}

impl X86Register {
    /// The registers of the first six arguments of a function, in their order (System V ABI for AMD64).
    pub const ARGUMENTS: [Self; 6] = [Self::Rdi, Self::Rsi, Self::Rdx, Self::Rcx, Self::R8, Self::R9];
}

/// The context of a kprobe or uprobe on x86-64: `struct pt_regs`, all zeros at first.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PtRegs([u8; PtRegs::BYTES]);

impl Default for PtRegs {
    fn default() -> Self {
        Self([0; Self::BYTES])
    }
}

impl PtRegs {
    /// Size of the structure: 21 registers of 8 bytes.
    pub const BYTES: usize = 168;

    /// At the entry of a function with these arguments; only the first six are in registers.
    pub fn entry(arguments: &[u64]) -> Self {
        let arguments = X86Register::ARGUMENTS.into_iter().zip(arguments);
        arguments.fold(Self::default(), |regs, (register, &value)| regs.with(register, value))
    }

    /// At the return of a function that gives this value.
    pub fn exit(value: u64) -> Self {
        Self::default().with(X86Register::Rax, value)
    }

    /// With another value of a register.
    #[must_use]
    pub fn with(mut self, register: X86Register, value: u64) -> Self {
        let at = 8 * register as usize;
        self.0[at..at + 8].copy_from_slice(&value.to_ne_bytes());
        self
    }

    /// The value of a register.
    pub fn get(&self, register: X86Register) -> u64 {
        self.0[8 * register as usize..].first_chunk().map_or(0, |bytes| u64::from_ne_bytes(*bytes))
    }

    /// The bytes of the context.
    pub const fn bytes(&mut self) -> &mut [u8] {
        &mut self.0
    }
}

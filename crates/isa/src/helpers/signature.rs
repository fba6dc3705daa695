//! What helpers take and give, as the kernel's verifier sees it (`struct bpf_func_proto` in `linux/bpf.h`).

use std::fmt;

use crate::ProgSet;

/// What a helper does with memory that it is given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Access {
    /// Reads it, so all of it must have been written before.
    Read,
    /// Writes it and may read it before; all of it must have been written before.
    Write,
    /// Writes it; it may be uninitialised.
    Fill,
}

/// What a helper takes in one register. The name in the kernel (`enum bpf_arg_type`) stands behind each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Arg {
    /// Any number (`ARG_ANYTHING`).
    Scalar,
    /// The context (`ARG_PTR_TO_CTX`).
    Context,
    /// The context or null.
    ContextOrNull,
    /// A map, known when the program is loaded (`ARG_CONST_MAP_PTR`).
    Map,
    /// A key of the map that was passed before (`ARG_PTR_TO_MAP_KEY`).
    Key,
    /// A value of that map (`ARG_PTR_TO_MAP_VALUE`).
    Value(Access),
    /// A value of that map or null.
    ValueOrNull,
    /// Memory whose size is the next argument (`ARG_PTR_TO_MEM`).
    Memory(Access),
    /// The same or null.
    MemoryOrNull(Access),
    /// Memory of so many bytes (`ARG_PTR_TO_FIXED_SIZE_MEM`).
    FixedMemory(u32, Access),
    /// Size in bytes of the memory before, at least 1 (`ARG_CONST_SIZE`).
    Size,
    /// The same, 0 included (`ARG_CONST_SIZE_OR_ZERO`).
    SizeOrZero,
    /// A size that is known when the program is loaded (`ARG_CONST_ALLOC_SIZE_OR_ZERO`).
    ConstantSize,
    /// A constant text in a read-only map (`ARG_PTR_TO_CONST_STR`).
    ConstantText,
    /// A stack pointer or null, handed on to a callback (`ARG_PTR_TO_STACK_OR_NULL`).
    StackOrNull,
    /// A function of the program (`ARG_PTR_TO_FUNC`).
    Callback,
    /// The lock in a map value or an allocated object (`ARG_PTR_TO_SPIN_LOCK`).
    SpinLock,
    /// The timer in a map value (`ARG_PTR_TO_TIMER`).
    Timer,
    /// A place in a map value that holds a kernel pointer (`ARG_KPTR_XCHG_DEST`).
    KernelPointerSlot,
    /// A kernel pointer whose ownership passes to the callee, or null.
    KernelPointerOrNull,
    /// A dynptr that is initialised (`ARG_PTR_TO_DYNPTR`).
    Dynptr,
    /// Sixteen bytes of stack that become a dynptr.
    NewDynptr,
    /// A ring buffer dynptr that ends here.
    ReleasedDynptr,
    /// A reserved record that ends here (`ARG_PTR_TO_RINGBUF_MEM`).
    RingRecord,
    /// A socket of any kind (`ARG_PTR_TO_SOCK_COMMON`).
    SockCommon,
    /// A full socket or null (`ARG_PTR_TO_SOCKET`).
    SocketOrNull,
    /// A socket of any kind, also as a typed pointer (`ARG_PTR_TO_BTF_ID_SOCK_COMMON`).
    TypedSock,
    /// The same or null.
    TypedSockOrNull,
    /// A socket whose reference ends here.
    ReleasedSocket,
    /// A typed pointer to this structure of the kernel (`ARG_PTR_TO_BTF_ID`).
    Typed(&'static str),
    /// The same or null.
    TypedOrNull(&'static str),
    /// A per-CPU variable of the kernel (`ARG_PTR_TO_PERCPU_BTF_ID`).
    PerCpuVariable,
}

impl Arg {
    /// Whether the helper may write memory through it, or hands it to a function of the program that may.
    pub const fn is_written(&self) -> bool {
        match self {
            Self::Scalar
            | Self::Context
            | Self::ContextOrNull
            | Self::Map
            | Self::Key
            | Self::ValueOrNull
            | Self::Size
            | Self::SizeOrZero
            | Self::ConstantSize
            | Self::ConstantText
            | Self::RingRecord
            | Self::SockCommon
            | Self::SocketOrNull
            | Self::TypedSock
            | Self::TypedSockOrNull
            | Self::ReleasedSocket
            | Self::Typed(_)
            | Self::TypedOrNull(_)
            | Self::PerCpuVariable => false,
            Self::Value(access) | Self::Memory(access) | Self::MemoryOrNull(access) | Self::FixedMemory(_, access) => {
                !matches!(access, Access::Read)
            }
            Self::StackOrNull
            | Self::Callback
            | Self::SpinLock
            | Self::Timer
            | Self::KernelPointerSlot
            | Self::KernelPointerOrNull
            | Self::Dynptr
            | Self::NewDynptr
            | Self::ReleasedDynptr => true,
        }
    }
}

/// What a helper leaves in register 0 (`enum bpf_return_type`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Ret {
    /// Nothing that may be used (`RET_VOID`).
    Nothing,
    /// A number (`RET_INTEGER`).
    Scalar,
    /// A map value (`RET_PTR_TO_MAP_VALUE`).
    Value,
    /// A map value or null.
    ValueOrNull,
    /// A full socket or null (`RET_PTR_TO_SOCKET_OR_NULL`).
    SocketOrNull,
    /// A socket of any kind or null (`RET_PTR_TO_SOCK_COMMON_OR_NULL`).
    SockCommonOrNull,
    /// A `bpf_tcp_sock` or null (`RET_PTR_TO_TCP_SOCK_OR_NULL`).
    TcpSockOrNull,
    /// A reserved record of the requested size or null (`RET_PTR_TO_RINGBUF_MEM_OR_NULL`).
    RingRecordOrNull,
    /// Memory behind a dynptr or null (`RET_PTR_TO_DYNPTR_MEM_OR_NULL`).
    DynptrMemoryOrNull,
    /// The kernel pointer that was in the slot, or null.
    KernelPointerOrNull,
    /// A per-CPU variable (`RET_PTR_TO_MEM_OR_BTF_ID`).
    PerCpuVariable,
    /// The same or null.
    PerCpuVariableOrNull,
    /// A typed pointer to this structure of the kernel (`RET_PTR_TO_BTF_ID`).
    Typed(&'static str),
    /// The same or null.
    TypedOrNull(&'static str),
}

/// One way to call a helper. Most have one; some take other arguments in other program types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Signature {
    /// In which program types it is called so.
    pub programs: ProgSet,
    /// Registers 1 to 5, as many as it takes.
    pub args: &'static [Arg],
    /// Register 0.
    pub result: Ret,
}

impl fmt::Display for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Read => "read",
            Self::Write => "written",
            Self::Fill => "filled",
        })
    }
}

impl fmt::Display for Arg {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Scalar => "number",
            Self::Context => "context",
            Self::ContextOrNull => "context or null",
            Self::Map => "map",
            Self::Key => "key",
            Self::Value(access) => return write!(f, "value, {access}"),
            Self::ValueOrNull => "value or null",
            Self::Memory(access) => return write!(f, "memory, {access}"),
            Self::MemoryOrNull(access) => return write!(f, "memory or null, {access}"),
            Self::FixedMemory(size, access) => return write!(f, "{size} bytes, {access}"),
            Self::Size => "its size, at least 1",
            Self::SizeOrZero => "its size",
            Self::ConstantSize => "constant size",
            Self::ConstantText => "constant text",
            Self::StackOrNull => "stack or null",
            Self::Callback => "function",
            Self::SpinLock => "lock",
            Self::Timer => "timer",
            Self::KernelPointerSlot => "place of a kernel pointer",
            Self::KernelPointerOrNull => "owned kernel pointer or null",
            Self::Dynptr => "dynptr",
            Self::NewDynptr => "place for a dynptr",
            Self::ReleasedDynptr => "dynptr, given back",
            Self::RingRecord => "record, given back",
            Self::SockCommon | Self::TypedSock => "socket of any kind",
            Self::SocketOrNull => "full socket or null",
            Self::TypedSockOrNull => "socket of any kind or null",
            Self::ReleasedSocket => "socket, given back",
            Self::Typed(name) => return write!(f, "{name} *"),
            Self::TypedOrNull(name) => return write!(f, "{name} * or null"),
            Self::PerCpuVariable => "per-CPU variable",
        })
    }
}

impl fmt::Display for Ret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nothing => "nothing",
            Self::Scalar => "number",
            Self::Value => "value",
            Self::ValueOrNull => "value or null",
            Self::SocketOrNull => "full socket or null",
            Self::SockCommonOrNull => "socket of any kind or null",
            Self::TcpSockOrNull => "bpf_tcp_sock * or null",
            Self::RingRecordOrNull => "record or null",
            Self::DynptrMemoryOrNull => "memory or null",
            Self::KernelPointerOrNull => "kernel pointer or null",
            Self::PerCpuVariable => "variable of this processor",
            Self::PerCpuVariableOrNull => "variable of the processor or null",
            Self::Typed(name) => return write!(f, "{name} *"),
            Self::TypedOrNull(name) => return write!(f, "{name} * or null"),
        })
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let args: Vec<String> = self.args.iter().map(Arg::to_string).collect();
        write!(f, "({}) -> {}", args.join("; "), self.result)
    }
}

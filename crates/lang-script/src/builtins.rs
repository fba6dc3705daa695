//! The builtin values and functions of the language as one table: how they are written, what they take and give, where
//! they may stand, what they are for. Type inference, lowering and the help read it.

use crate::providers::Data;

/// Declares the builtins.
macro_rules! builtins {
    ($($variant:ident = $name:literal, $signature:literal, $kind:ident, $args:tt $(, needs $data:ident)? $(, flag $flag:ident)* ; $doc:literal;)+) => {
        /// A builtin value or function.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
        pub enum Builtin { $(#[doc = $doc] $variant,)+ }

        /// All of them, in alphabetical order within their group.
        pub const BUILTINS: &[Row] = &[$(
            Row {
                builtin: Builtin::$variant,
                name: $name,
                signature: $signature,
                role: Role::$kind,
                args: $args,
                needs: builtins!(@needs $($data)?),
                dangerous: builtins!(@changes $($flag)*),
                doc: $doc,
            },
        )+];
    };
    (@needs) => { None };
    (@needs $data:ident) => { Some(Data::$data) };
    (@changes) => { false };
    (@changes dangerous) => { true };
}

/// What a builtin is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Role {
    /// A value: written without parentheses, which are allowed.
    Value,
    /// A function with a value that is computed on the spot.
    Function,
    /// Sends a record; what it asks for is done by the host, a little later.
    Action,
    /// What is assigned to a map, once for each event.
    Aggregate,
    /// Computed while the script is compiled.
    Constant,
}

/// One row of the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Row {
    /// Which.
    pub builtin: Builtin,
    /// Its name.
    pub name: &'static str,
    /// How it is written, with its arguments and the type of its value.
    pub signature: &'static str,
    /// What it is.
    pub role: Role,
    /// The fewest and the most arguments.
    pub args: (usize, usize),
    /// What the type of the probe must offer.
    pub needs: Option<Data>,
    /// Whether it changes what is traced, so that it has to be allowed.
    pub dangerous: bool,
    /// What it is for.
    pub doc: &'static str,
}

impl Builtin {
    /// Whether it belongs to the place where the program is attached: a function of the script that uses it is made a
    /// part of each probe that calls it.
    pub fn of_probe(self) -> bool {
        use Builtin as B;
        self.row().needs.is_some()
            || matches!(
                self,
                B::Kstack
                    | B::Ustack
                    | B::DwUstack
                    | B::Probe
                    | B::Probetype
                    | B::Exit
                    | B::Assert
                    | B::Path
                    | B::Skboutput
                    | B::SocketCookie
                    | B::KfuncAllowed
            )
    }

    /// Its row.
    pub fn row(self) -> &'static Row {
        // The variants are in the order of the rows.
        &BUILTINS[self as usize]
    }
}

/// The builtin with a name.
pub fn find(name: &str) -> Option<&'static Row> {
    let name = name.strip_prefix("__builtin_").unwrap_or(name);
    BUILTINS.iter().find(|row| row.name == name)
}

/// Most arguments of functions that take any number.
const ANY: usize = 127;

// TABLE
builtins! {
    Args = "args", "args.NAME", Value, (0, 0), needs Args; "Arguments of the probe by their names.";
    Cgroup = "cgroup", "cgroup -> uint64", Value, (0, 0); "Id of the control group of the thread.";
    Comm = "comm", "comm[(tid)] -> string[16]", Value, (0, 1); "Name of the thread, or of the one with this id.";
    Config = "config", "config.NAME", Value, (0, 0); "Settings of the script by their names.";
    Cpid = "cpid", "cpid -> uint32", Value, (0, 0); "Process id of the command that was started with `-c`, 0 without one.";
    Cpu = "cpu", "cpu -> uint32", Value, (0, 0); "Number of the processor.";
    Ctx = "ctx", "ctx -> pointer", Value, (0, 0), needs Ctx; "The context of the program.";
    Curtask = "curtask", "curtask -> struct task_struct *", Value, (0, 0); "The thread as the kernel keeps it.";
    Elapsed = "elapsed", "elapsed -> uint64", Value, (0, 0); "Nanoseconds since the start of the script.";
    Func = "func", "func -> ksym_t or usym_t", Value, (0, 0), needs Func; "The function that is traced.";
    Gid = "gid", "gid -> uint32", Value, (0, 0); "Group id of the process.";
    HasCpid = "has_cpid", "has_cpid -> bool", Value, (0, 0); "Whether a command was started with `-c`.";
    Jiffies = "jiffies", "jiffies -> uint64", Value, (0, 0); "The kernel's clock ticks.";
    LeaderComm = "leader_comm", "leader_comm -> string[16]", Value, (0, 0); "Name of the first thread of the process.";
    LeaderTid = "leader_tid", "leader_tid -> uint32", Value, (0, 0); "Id of the first thread of the process.";
    Ncpus = "ncpus", "ncpus -> uint64", Value, (0, 0); "Number of processors that there may be.";
    Numaid = "numaid", "numaid -> uint32", Value, (0, 0); "Number of the memory node of the processor.";
    Nsecs = "nsecs", "nsecs[(boot|monotonic|tai|sw_tai)] -> uint64", Value, (0, 1); "Nanoseconds since boot, or of another clock.";
    Pcomm = "pcomm", "pcomm -> string[16]", Value, (0, 0); "Name of the parent process.";
    Pid = "pid", "pid -> uint32", Value, (0, 1); "Process id.";
    Ppid = "ppid", "ppid -> uint32", Value, (0, 0); "Process id of the parent.";
    Probe = "probe", "probe -> string", Value, (0, 0); "Name of the probe.";
    Probetype = "probetype", "probetype -> string", Value, (0, 0); "Type of the probe.";
    Rand = "rand", "rand -> uint32", Value, (0, 0); "A random number.";
    Retval = "retval", "retval -> any", Value, (0, 0), needs Retval; "What the function returns.";
    Tid = "tid", "tid -> uint32", Value, (0, 1); "Thread id.";
    Uid = "uid", "uid -> uint32", Value, (0, 0); "User id of the process.";
    Usermode = "usermode", "usermode -> bool", Value, (0, 0), needs Ctx; "Whether the processor was in user mode (x86-64).";
    Username = "username", "username -> username_t", Value, (0, 0); "Name of the user of the process.";
    Kstack = "kstack", "kstack[([mode][, limit])] -> kstack_t", Value, (0, 2); "Stack trace of the kernel.";
    Ustack = "ustack", "ustack[([mode][, limit])] -> ustack_t", Value, (0, 2); "Stack trace of the process.";
    DwUstack = "dw_ustack", "dw_ustack[([mode][, limit])] -> dw_ustack_t", Value, (0, 2); "Stack trace of the process by the unwinding tables of its files (x86-64): also through functions without frame pointers.";

    Bswap = "bswap", "bswap(integer) -> integer", Function, (1, 1); "The number with its bytes in opposite order.";
    Buf = "buf", "buf(pointer or array[, length]) -> buffer", Function, (1, 2); "Bytes of memory.";
    CgroupPath = "cgroup_path", "cgroup_path(id[, pattern]) -> cgroup_path_t", Function, (1, 2); "Path of a control group.";
    ContainerOf = "container_of", "container_of(pointer, type, member) -> type *", Function, (3, 3); "The structure that the member at this address is a part of.";
    Delete = "delete", "delete(@map[, key]) -> bool", Function, (1, 2); "Removes an entry; tells whether there was one.";
    Find = "find", "find(@map, key, $value) -> bool", Function, (3, 3); "Whether the map has an entry, whose value the variable gets.";
    HasKey = "has_key", "has_key(@map, key) -> bool", Function, (2, 2); "Whether the map has an entry.";
    IsErr = "is_err", "is_err(pointer) -> bool", Function, (1, 1); "Whether the pointer is an error number of the kernel.";
    Kptr = "kptr", "kptr(pointer) -> pointer", Function, (1, 1); "The pointer as one into the kernel.";
    Ksym = "ksym", "ksym(address) -> ksym_t", Function, (1, 1); "Symbol of an address of the kernel.";
    Len = "len", "len(@map or stack) -> uint64", Function, (1, 1); "Number of entries of a map or frames of a stack trace.";
    Macaddr = "macaddr", "macaddr(array of 6 bytes) -> mac_address", Function, (1, 1); "A hardware address.";
    Memcmp = "memcmp", "memcmp(left, right, length) -> int32", Function, (3, 3); "0 if so many bytes agree, else below or above 0 as the first that differ do.";
    Ntop = "ntop", "ntop([family, ]address) -> inet", Function, (1, 2); "An IPv4 or IPv6 address.";
    Path = "path", "path(struct path[, length]) -> string", Function, (1, 2); "Path of a file that the kernel has open.";
    PercpuKaddr = "percpu_kaddr", "percpu_kaddr(\"name\"[, cpu]) -> uint64", Function, (1, 2); "Address of a variable that the kernel has for each processor, 0 for a processor that does not exist.";
    Reg = "reg", "reg(\"name\") -> uint64", Function, (1, 1), needs Reg; "A register of the processor.";
    Signal = "signal", "signal(name or number)", Function, (1, 1), flag dangerous; "Sends a signal to the process.";
    SignalThread = "signal_thread", "signal_thread(name or number)", Function, (1, 1), flag dangerous; "Sends a signal to the thread.";
    Override = "override", "override(value)", Function, (1, 1), needs Ctx, flag dangerous; "Returns from the traced function with this value instead of running it.";
    SignalName = "signal_name", "signal_name(number) -> string", Function, (1, 1); "Name of a signal.";
    Skboutput = "skboutput", "skboutput(\"file\", struct sk_buff *, length, offset) -> int64", Function, (4, 4); "Writes bytes of a packet to a capture file.";
    SocketCookie = "socket_cookie", "socket_cookie(struct sock *) -> uint64", Function, (1, 1); "The number that the kernel knows the socket by.";
    Str = "str", "str(pointer[, length]) -> string", Function, (1, 2); "Text in memory.";
    StrConcat = "str_concat", "str_concat(text, text) -> string", Function, (2, 2); "One text behind the other.";
    Strcontains = "strcontains", "strcontains(text, part) -> bool", Function, (2, 2); "Whether the part occurs in the text.";
    Strerror = "strerror", "strerror(number) -> string", Function, (1, 1); "Text of an error number.";
    Strftime = "strftime", "strftime(\"format\", nanoseconds) -> timestamp", Function, (2, 2); "Wall-clock time of a value of `nsecs`.";
    Strlen = "strlen", "strlen(text) -> uint64", Function, (1, 1); "Bytes of a text.";
    Strncmp = "strncmp", "strncmp(text, text, length) -> uint64", Function, (3, 3); "0 if the texts agree in so many bytes.";
    Strstr = "strstr", "strstr(text, part) -> int64", Function, (2, 2); "Where the part begins in the text, -1 if it does not occur.";
    SyscallName = "syscall_name", "syscall_name(number) -> string", Function, (1, 1); "Name of a system call.";
    Uaddr = "uaddr", "uaddr(\"name\") -> pointer", Function, (1, 1); "Address of a symbol of the program that is traced.";
    Uptr = "uptr", "uptr(pointer) -> pointer", Function, (1, 1); "The pointer as one into the process.";
    Usym = "usym", "usym(address) -> usym_t", Function, (1, 1); "Symbol of an address of the process.";
    WriteUser = "write_user", "write_user(pointer, value, length) -> int64", Function, (3, 3), flag dangerous; "Overwrites memory of the process.";

    Cat = "cat", "cat(\"format\", ...)", Action, (1, ANY); "Prints the contents of a file.";
    Clear = "clear", "clear(@map)", Action, (1, 1); "Removes all entries of a map.";
    Debugf = "debugf", "debugf(\"format\", ...)", Action, (1, 4); "Prints to the kernel's trace pipe, up to three values.";
    Errorf = "errorf", "errorf(\"format\", ...)", Action, (1, ANY); "Prints to standard error, as an error with its place.";
    Exit = "exit", "exit([status])", Action, (0, 1); "Ends the script.";
    Join = "join", "join(texts[, \"separator\"])", Action, (1, 2); "Prints an array of texts.";
    Print = "print", "print(value) or print(@map[, top[, divisor]])", Action, (1, 3); "Prints a value or a map.";
    Printf = "printf", "printf(\"format\", ...)", Action, (1, ANY); "Prints values in a format.";
    System = "system", "system(\"format\", ...)", Action, (1, ANY), flag dangerous; "Runs a command of the shell.";
    Time = "time", "time([\"format\"])", Action, (0, 1); "Prints the wall-clock time.";
    Warnf = "warnf", "warnf(\"format\", ...)", Action, (1, ANY); "Prints to standard error, as a warning with its place.";
    Zero = "zero", "zero(@map)", Action, (1, 1); "Sets all values of a map to zero.";

    Avg = "avg", "@map = avg(integer)", Aggregate, (1, 1); "Average.";
    Count = "count", "@map = count()", Aggregate, (0, 0); "Number of times.";
    Hist = "hist", "@map = hist(integer[, bits])", Aggregate, (1, 2); "Histogram with powers of two, each in 2^bits buckets.";
    Lhist = "lhist", "@map = lhist(integer, min, max, step)", Aggregate, (4, 4); "Histogram with buckets of one width.";
    Max = "max", "@map = max(integer)", Aggregate, (1, 1); "Largest value.";
    Min = "min", "@map = min(integer)", Aggregate, (1, 1); "Smallest value.";
    Stats = "stats", "@map = stats(integer)", Aggregate, (1, 1); "Count, average and total.";
    Sum = "sum", "@map = sum(integer)", Aggregate, (1, 1); "Total.";
    Tseries = "tseries", "@map = tseries(integer, interval, count[, \"avg|max|min|sum\"])", Aggregate, (3, 4); "Values over time.";

    Assert = "assert", "assert(condition, \"message\")", Action, (1, 2); "Prints an error and ends the script if the condition does not hold.";
    Cgroupid = "cgroupid", "cgroupid(\"path\") -> uint64", Constant, (1, 1); "Id of the control group with a path.";
    Fail = "fail", "fail(\"format\", ...)", Constant, (1, ANY); "Stops the compilation with a message.";
    Getopt = "getopt", "getopt(\"name\"[, default[, \"description\"]])", Constant, (1, 3); "A named argument of the script: `--name=value`.";
    IsArray = "is_array", "is_array(expression) -> bool", Constant, (1, 1); "Whether it is an array.";
    IsInteger = "is_integer", "is_integer(expression) -> bool", Constant, (1, 1); "Whether it is an integer.";
    IsLiteral = "is_literal", "is_literal(expression) -> bool", Constant, (1, 1); "Whether it is known while the script is compiled.";
    IsPtr = "is_ptr", "is_ptr(expression) -> bool", Constant, (1, 1); "Whether it is a pointer.";
    IsStr = "is_str", "is_str(expression) -> bool", Constant, (1, 1); "Whether it is a text.";
    IsUnsigned = "is_unsigned_integer", "is_unsigned_integer(expression) -> bool", Constant, (1, 1); "Whether it is an integer without sign.";
    Kaddr = "kaddr", "kaddr(\"name\") -> uint64", Constant, (1, 1); "Address of a symbol of the kernel.";
    KfuncAllowed = "kfunc_allowed", "kfunc_allowed(\"name\") -> bool", Constant, (1, 1); "Whether programs at this probe may call a kernel function.";
    KfuncExist = "kfunc_exist", "kfunc_exist(\"name\") -> bool", Constant, (1, 1); "Whether the kernel has a function with this name.";
    Pton = "pton", "pton(\"address\") -> bytes", Constant, (1, 1); "Bytes of an IPv4 or IPv6 address.";
    StaticAssert = "static_assert", "static_assert(condition, \"message\")", Constant, (1, 2); "Stops the compilation if the condition does not hold.";
    Strcap = "strcap", "strcap(text) -> uint64", Constant, (1, 1); "Bytes that a text has room for.";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_found_by_their_names() {
        for (at, row) in BUILTINS.iter().enumerate() {
            assert_eq!(find(row.name).unwrap().builtin, row.builtin);
            assert_eq!(row.builtin as usize, at);
            assert!(
                row.signature.contains(row.name) && row.doc.ends_with('.') && row.args.0 <= row.args.1,
                "{}",
                row.name
            );
        }
        assert!(find("printff").is_none());
    }
}

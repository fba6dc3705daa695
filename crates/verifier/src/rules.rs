//! Rules of the kernel that need no figures: what is wrong and what to do, a row for each.
// TABLE

/// A rule that a program breaks.
#[derive(Debug, PartialEq, Eq)]
pub struct Rule {
    /// What is wrong, in a sentence without a full stop.
    pub headline: &'static str,
    /// What to do about it; empty if the headline says it.
    pub remedy: &'static str,
}

macro_rules! rules {
    ($($name:ident: $headline:literal, $remedy:literal;)*) => {
        $(#[doc = $headline] pub static $name: Rule = Rule { headline: $headline, remedy: $remedy };)*
        /// All rules.
        #[cfg(test)]
        pub static ALL: &[&Rule] = &[$(&$name),*];
    };
}

rules! {
    FIELD_IS_PROTECTED: "a lock, timer, list or other field of the kernel in this memory is accessed directly",
        "use the functions that are made for it, and keep other accesses away from its bytes";
    KPTR_WHOLE: "a pointer of the kernel in a map is accessed otherwise than as a whole at its place",
        "read all 8 bytes at its own offset, and write it with kptr_xchg";
    KPTR_STORE: "something else than null is stored over a pointer of the kernel in a map",
        "store it with kptr_xchg, which gives the old one back";
    KPTR_TYPE: "the pointer does not have the type that the place in the map is declared with",
        "declare the place with the type of the pointer";
    LOCK_NOT_IN_VALUE: "a lock has to be in a map value or an object of the program, at its place",
        "pass the address of the member `struct bpf_spin_lock`";
    LOCK_TWICE: "a lock is taken while another one is held",
        "give the first lock back before the second one is taken";
    LOCK_NOT_HELD: "a lock is given back that is not held",
        "take it on every path that leads here";
    LOCK_OTHER: "another lock is given back than the one that is held",
        "keep the pointer that the lock was taken with";
    LOCK_CALL: "a function is called while a lock is held",
        "call it before the lock is taken, or after it is given back";
    LOCK_KEPT: "the program ends, or leaves its functions, with a lock held",
        "give the lock back on every path";
    LOCK_PROGRAM: "programs of this type cannot take locks",
        "use atomic operations";
    LOCK_NEEDED: "the lock that guards this list or tree is not held",
        "take the lock in the same map value or object first";
    RCU_NESTED: "the RCU read lock is taken twice",
        "take it once around everything that needs it";
    RCU_NOT_HELD: "the RCU read lock is given back, but is not held",
        "take it on every path that leads here";
    RCU_KEPT: "the program ends with the RCU read lock held",
        "call bpf_rcu_read_unlock on every path";
    PREEMPT_NOT_OFF: "preemption is allowed again, but was not forbidden",
        "call bpf_preempt_disable on every path that leads here";
    PREEMPT_KEPT: "the program ends, or calls what may sleep, with preemption forbidden",
        "call bpf_preempt_enable first";
    IRQ_KEPT: "the program ends, or calls what may sleep, with interrupts off",
        "call bpf_local_irq_restore first";
    IRQ_ORDER: "interrupts are restored from flags that are not the ones saved last",
        "restore in the opposite order of saving";
    LOOP_FALL: "a loop comes back to its start without a jump, which kernels before 6.7 refuse",
        "turn the loop so that its last instruction jumps to the first";
    SLEEPS_HERE: "something that may sleep is called where sleeping is impossible",
        "leave the lock or region first";
    SLEEPS_PROGRAM: "something that may sleep is called from a program that may not",
        "load the program as sleepable (a section that ends with `.s`)";
    KFUNC_REFUSED: "programs of this type cannot call this function of the kernel",
        "`skep help kfunc NAME` lists the types of programs that may call it";
    KFUNC_NULL: "the pointer may be null, which this function does not take",
        "compare it with null first";
    KFUNC_TRUST: "the pointer is not known to be valid for as long as this function needs it",
        "take a reference, read it under bpf_rcu_read_lock, or use the argument of the program itself";
    KFUNC_NUMBER: "a number is needed here, and a pointer is passed",
        "";
    KFUNC_CONSTANT: "this argument has to be a constant",
        "";
    KFUNC_TYPE: "the argument has another type than the function takes",
        "";
    KFUNC_RELEASE: "the function gives something back, but what is passed is not held",
        "pass what the function that takes it gave, unchanged";
    POINTER_MOVED: "the pointer was moved, and is needed unchanged here",
        "keep a copy of the original pointer";
    STACK_PLACE: "the address on the stack has to be a constant that is a multiple of 8",
        "";
    ITER_INITIALIZED: "the iterator is begun twice",
        "end it first";
    ITER_UNINITIALIZED: "the iterator was not begun, was ended, or was overwritten",
        "begin it on every path that leads here";
    ITER_RCU: "the iterator needs the RCU read lock, which is not held",
        "call bpf_rcu_read_lock before the iterator is begun, and keep it until the end";
    ITER_PROGRAM: "only iterators, security hooks and programs that may sleep can go through the tasks of a control group",
        "";
    DYNPTR_UNINITIALIZED: "the dynptr was not initialised, was given back, or was overwritten",
        "initialise it on every path that leads here";
    DYNPTR_OVERWRITTEN: "a dynptr that stands for a record is overwritten",
        "submit or discard it first";
    DYNPTR_AGAIN: "a dynptr is initialised where another one is, which kernels before 6.3 refuse",
        "initialise another variable";
    DYNPTR_MEMORY: "the memory of a dynptr of this kind is not a map value",
        "";
    DYNPTR_RELEASE: "only dynptrs that stand for a record of a ring buffer are given back",
        "";
    DYNPTR_CONSTANT: "this dynptr belongs to the caller and cannot be changed",
        "";
    DYNPTR_ACCESS: "the bytes of a dynptr or iterator on the stack are accessed directly",
        "use the functions that are made for it";
    READ_ONLY: "memory that programs only read is written",
        "copy it first";
    CALLBACK_RESULT: "the callback returns something else than 0 or 1",
        "return 0 to go on and 1 to stop";
    CALLBACK_ASYNC_RESULT: "the callback returns something else than 0",
        "return 0";
    LOOP_COUNT: "the number of rounds of bpf_loop is a pointer",
        "pass a number";
    CALLBACK_MAP: "entries of this map cannot be gone through",
        "use a map of type hash or array";
    CALLBACK_TYPE: "a function of the program is expected as callback",
        "";
    CALLBACK_UNUSED: "the address of a function is taken that nothing calls",
        "pass it to a helper that calls it, or leave it out";
    TEXT_FORMAT: "the format asks for other arguments than there are, or is none that the kernel knows",
        "8 bytes for each conversion, and conversions as in printk";
    STRUCT_FIELD: "the structure of the kernel has no such field at this offset and size",
        "read a whole field, as the type of the kernel declares it";
    PACKET_ARGUMENT: "the helper does not take pointers into the packet",
        "copy the bytes to the stack first, and pass that";
    STRUCT_WRITE: "structures of the kernel are only read",
        "";
    STRUCT_OFFSET: "structures of the kernel are read at constant offsets only",
        "";
    STRUCT_LICENCE: "structures of the kernel are read by programs under the GPL only",
        "declare a licence that is compatible with the GPL";
    STRUCT_USER: "the pointer is one of a process or of each processor and cannot be read directly",
        "use probe_read_user or per_cpu_ptr";
    OBJECT_TYPE: "the type of the object is not a structure of the program",
        "";
    OBJECT_PLACE: "the node or head is not at its place in the object",
        "pass the address of the member";
    OBJECT_OTHER_TYPE: "the list or tree holds nodes of another type",
        "see the `__contains` of its declaration";
    OBJECT_OWNED: "an object that the program owns is needed here",
        "objects that were added to a list or tree belong to it";
    OBJECT_FIELD: "the object does not have the field that the function needs",
        "";
    GLOBAL_ARGUMENT: "the argument is not what the global function takes",
        "global functions are verified by their types alone: pass what the type says, or make the function static";
    GLOBAL_TYPE: "a global function takes numbers, the context, and pointers to types of known size, and gives a number",
        "make the function static";
    GLOBAL_LOCK: "a global function is called with a lock held",
        "make the function static";
    GLOBAL_RESULT: "a global function returns something else than a number",
        "";
    ARENA_TWICE: "the program uses two arenas",
        "use one";
    ARENA_MISSING: "an address is converted to an arena, and the program uses none",
        "refer to a map of type arena in the program";
    ARENA_SIGNED: "numbers with a sign are loaded from an arena, which this kernel does not do",
        "load without sign and extend it behind the load";
    ARENA_ARGUMENT: "neither a number nor a pointer into an arena is given for a pointer into an arena",
        "";
    OPERATION_LICENCE: "operations of the kernel are implemented by programs under the GPL only",
        "declare a licence that is compatible with the GPL";
    OPERATION_MEMBER: "no program, or none that may sleep, can implement this operation",
        "leave the member of the table 0";
    BUFFER_OFFSET: "a buffer is accessed at a place that is not constant",
        "use a constant index";
    STRUCT_ARGUMENT: "the helper may write into what is passed, which is a structure of the kernel",
        "copy it to the stack first, and pass that";
    SESSION_ONLY: "only programs for both ends of a probed function (`kprobe.session`) can call this function of the kernel",
        "";
    ITERATOR_ONLY: "only iterators can call this function of the kernel",
        "";
    DEVICE_ONLY: "only programs that are loaded for one device can call this function of the kernel",
        "load it for the device (`prog_ifindex` with BPF_F_XDP_DEV_BOUND_ONLY)";
    THROW_CALLBACK: "the function that exceptions are to end in is named twice, missing, or not global",
        "name one global function of the program with `__exception_cb`";
    THROW_ARGUMENT: "the function that exceptions end in does not take one number",
        "declare it `int NAME(u64 cookie)`";
    THROW_CALLED: "the function that exceptions end in is called",
        "only the kernel calls it";
    THROW_PLACE: "an exception is thrown in a function that the kernel calls back",
        "return a number that says so, and throw behind the call";
    CONTEXT_ARGUMENT: "the function has no such argument, or a pointer is not read as 8 bytes",
        "";
    TEXT_PLACE: "the text is not a constant in a map that nobody writes",
        "declare it `static const char []`";
    TEXT_END: "the text has no end",
        "";
    TIMER_PROGRAM: "programs of this type cannot use maps with timers or work items",
        "";
    STORAGE_FLAGS: "get_local_storage takes no flags: its second argument has to be 0",
        "";
    SLEEPS_MAP: "programs that may sleep cannot use maps of this type",
        "use a map of type array, hash, ring buffer or local storage";
    LOADS_IN_FUNCTION: "absolute loads are only in functions that return a number, because they end them with 0",
        "let the function return int";
    VARIABLE_ADDRESS: "the kernel does not tell the addresses of its variables",
        "use a kernel that was built with CONFIG_KALLSYMS_ALL";
    POINTER_ARITHMETIC: "there is arithmetic with a pointer, which was asked to be refused",
        "only constants may be added to an address of the stack";
    POINTER_COMPARED: "pointers are compared, for which the process needs CAP_PERFMON",
        "compare with null, or the packet with its end";
    MASK_SIGN: "a number that may be negative or not is added to a pointer, for which the process needs CAP_PERFMON",
        "bound the number on the side of 0 that is not meant, before it is added";
    MASK_KIND: "a number is added to a pointer that is neither to the stack nor to a map value, for which the process needs CAP_PERFMON",
        "add constants only";
    MASK_PATHS: "one instruction adds to different pointers or to numbers on different paths, for which the process needs CAP_PERFMON",
        "write an instruction of its own for each path";
    MASK_LIMIT: "a pointer is moved that is outside of what it points to, for which the process needs CAP_PERFMON",
        "keep the pointer inside, also between two steps";
    MASK_RANGE: "a pointer is moved out of what it points to, for which the process needs CAP_PERFMON",
        "bound the number so that the pointer stays inside, also where nothing is accessed";
    STACK_VARIABLE: "the stack is accessed at a place that is not constant, for which the process needs CAP_PERFMON",
        "use constant indices, or a map of type array";
    SPILL_BROKEN: "a part of a pointer on the stack is overwritten, for which the process needs CAP_PERFMON",
        "overwrite all 8 bytes";
    STRUCT_PRIVILEGE: "a structure of the kernel is accessed, for which the process needs CAP_PERFMON",
        "";
    TAIL_CALL_MAPS: "one instruction makes tail calls through different maps, for which the process needs CAP_PERFMON",
        "write a call of its own for each map";
    TIMER_MAP: "the timer or work item belongs to another map than the one that is passed",
        "";
}

#[cfg(test)]
mod tests {
    use super::ALL;

    #[test]
    fn rules_are_sentences_of_their_own() {
        for rule in ALL {
            assert!(rule.headline.len() > 15 && !rule.headline.ends_with('.'), "{rule:?}");
            assert!(ALL.iter().filter(|other| other.headline == rule.headline).count() == 1, "{rule:?}");
        }
    }
}

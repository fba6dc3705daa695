//! Kernel functions that programs call by name (kfuncs): those that many programs use.
//!
//! They are not part of the stable interface: a kernel may change or drop them. Which program types may call one was
//! read in the kernel's registrations (`register_btf_kfunc_id_set`), releases in its history. The running kernel lists
//! its own in its BTF, tagged `bpf_kfunc` since Linux 6.10.

use crate::ProgType::{
    CgroupDevice, CgroupSkb, CgroupSock, CgroupSockAddr, CgroupSockopt, CgroupSysctl, Kprobe, Lsm, LwtIn, LwtOut,
    LwtSeg6local, LwtXmit, Netfilter, PerfEvent, SchedAct, SchedCls, SkSkb, SockOps, SocketFilter, StructOps, Syscall,
    Tracepoint, Tracing, Xdp,
};
use crate::{ProgSet, ProgType, Release};

/// One kfunc.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kfunc {
    /// Its name. Those that end with `_impl` are called through a macro without that ending.
    pub name: &'static str,
    /// First release that has it under this name.
    pub since: Release,
    /// Program types that may call it; the kernel groups some types, and single hooks may refuse it.
    pub programs: ProgSet,
    /// Whether the result is a reference that has to be given back.
    pub acquires: bool,
    /// Whether it takes back the reference that it is given.
    pub releases: bool,
    /// Whether the result may be null and has to be checked.
    pub may_be_null: bool,
    /// Whether only programs that may sleep can call it.
    pub sleeps: bool,
    /// What it does, in a sentence.
    pub about: &'static str,
}

const fn kfunc(name: &'static str, major: u8, minor: u8, programs: ProgSet, about: &'static str) -> Kfunc {
    Kfunc {
        name,
        since: Release::new(major, minor),
        programs,
        acquires: false,
        releases: false,
        may_be_null: false,
        sleeps: false,
        about,
    }
}

impl Kfunc {
    const fn acquires(self) -> Self {
        Self { acquires: true, ..self }
    }

    const fn releases(self) -> Self {
        Self { releases: true, ..self }
    }

    const fn may_be_null(self) -> Self {
        Self { may_be_null: true, ..self }
    }

    const fn sleeps(self) -> Self {
        Self { sleeps: true, ..self }
    }
}

/// The kfunc with this name.
pub fn by_name(name: &str) -> Option<&'static Kfunc> {
    KFUNCS.iter().find(|kfunc| kfunc.name == name)
}

const fn set(types: &[ProgType]) -> ProgSet {
    ProgSet::of(types)
}

const COMMON: ProgSet = ProgSet::ALL;
/// What the kernel counts as tracing when it registers kfuncs.
const TRACED: ProgSet = set(&[Tracing, Tracepoint, PerfEvent, Lsm]);
/// What it counts as programs of control groups.
const CGROUPS: ProgSet = set(&[CgroupSkb, CgroupSock, CgroupDevice, CgroupSockAddr, CgroupSockopt, CgroupSysctl]);
const GENERIC: ProgSet = TRACED.union(CGROUPS).union(set(&[SchedCls, Xdp, StructOps, Syscall]));
const SKB: ProgSet = TRACED.union(CGROUPS).union(set(&[
    SchedCls,
    SchedAct,
    SkSkb,
    SocketFilter,
    LwtIn,
    LwtOut,
    LwtXmit,
    LwtSeg6local,
    Netfilter,
]));
const CPUMASK: ProgSet = TRACED.union(set(&[StructOps, Syscall]));
const XDP: ProgSet = set(&[Xdp]);
const TC: ProgSet = set(&[SchedCls]);
const PACKET: ProgSet = set(&[Xdp, SchedCls]);
const CRYPT: ProgSet = set(&[SchedCls, SchedAct, Xdp]);
const SYSCALL: ProgSet = set(&[Syscall]);
const SOCK_ADDR: ProgSet = set(&[CgroupSockAddr]);
const SOCK_OPS: ProgSet = set(&[SockOps]);
const KPROBE: ProgSet = set(&[Kprobe]);
const ITERATORS: ProgSet = set(&[Tracing]);
const LSM: ProgSet = set(&[Lsm]);

// TABLE
/// The kfuncs that are described here.
#[rustfmt::skip]
pub static KFUNCS: &[Kfunc] = &[
    kfunc("bpf_cast_to_kern_ctx", 6, 2, COMMON, "The context as the kernel has it: a typed sk_buff of a __sk_buff, an xdp_buff of an xdp_md."),
    kfunc("bpf_rdonly_cast", 6, 2, COMMON, "Reads an address as a structure of the kernel without trust: loads are allowed, faults give zero."),
    kfunc("bpf_rcu_read_lock", 6, 2, COMMON, "Begins a section in which pointers protected by RCU stay valid, for programs that may sleep."),
    kfunc("bpf_rcu_read_unlock", 6, 2, COMMON, "Ends that section."),
    kfunc("bpf_dynptr_from_skb", 6, 4, SKB, "Makes a dynptr of a packet buffer, whether it is linear or not."),
    kfunc("bpf_dynptr_from_xdp", 6, 4, XDP, "Makes a dynptr of an XDP packet, with all its buffers."),
    kfunc("bpf_dynptr_from_skb_meta", 6, 18, TC, "Makes a dynptr of the metadata in front of a packet."),
    kfunc("bpf_dynptr_slice", 6, 4, COMMON, "A range of a dynptr for reading: a direct pointer if it is linear, else copied into the given buffer.").may_be_null(),
    kfunc("bpf_dynptr_slice_rdwr", 6, 4, COMMON, "A range of a dynptr for writing; if it was copied, it has to be written back with bpf_dynptr_write.").may_be_null(),
    kfunc("bpf_dynptr_adjust", 6, 5, COMMON, "Narrows a dynptr to a range of itself."),
    kfunc("bpf_dynptr_is_null", 6, 5, COMMON, "Whether the dynptr holds nothing."),
    kfunc("bpf_dynptr_is_rdonly", 6, 5, COMMON, "Whether the dynptr may only be read."),
    kfunc("bpf_dynptr_size", 6, 5, COMMON, "Bytes that the dynptr covers."),
    kfunc("bpf_dynptr_clone", 6, 5, COMMON, "A second dynptr on the same memory."),
    kfunc("bpf_dynptr_copy", 6, 16, COMMON, "Copies from one dynptr to another."),
    kfunc("bpf_dynptr_memset", 6, 17, COMMON, "Fills a range of a dynptr with a byte."),
    kfunc("bpf_iter_num_new", 6, 4, COMMON, "Begins a loop over a range of numbers; the verifier follows it without unrolling."),
    kfunc("bpf_iter_num_next", 6, 4, COMMON, "The next number, null at the end.").may_be_null(),
    kfunc("bpf_iter_num_destroy", 6, 4, COMMON, "Ends the loop; has to be called on every path."),
    kfunc("bpf_iter_bits_new", 6, 11, COMMON, "Begins a loop over the bits that are set in up to 511 words."),
    kfunc("bpf_iter_bits_next", 6, 11, COMMON, "The number of the next set bit, null at the end.").may_be_null(),
    kfunc("bpf_iter_bits_destroy", 6, 11, COMMON, "Ends that loop."),
    kfunc("bpf_iter_task_new", 6, 7, COMMON, "Begins a loop over all processes, all threads, or the threads of a process; under RCU."),
    kfunc("bpf_iter_task_next", 6, 7, COMMON, "The next task, null at the end.").may_be_null(),
    kfunc("bpf_iter_task_destroy", 6, 7, COMMON, "Ends that loop."),
    kfunc("bpf_iter_task_vma_new", 6, 7, COMMON, "Begins a loop over the memory areas of a task from an address on."),
    kfunc("bpf_iter_task_vma_next", 6, 7, COMMON, "The next memory area, null at the end.").may_be_null(),
    kfunc("bpf_iter_task_vma_destroy", 6, 7, COMMON, "Ends that loop and releases the lock on the memory map."),
    kfunc("bpf_iter_css_new", 6, 7, COMMON, "Begins a walk over the descendants or ancestors of a control group; under RCU."),
    kfunc("bpf_iter_css_next", 6, 7, COMMON, "The next control group, null at the end.").may_be_null(),
    kfunc("bpf_iter_css_destroy", 6, 7, COMMON, "Ends that walk."),
    kfunc("bpf_iter_css_task_new", 6, 7, COMMON, "Begins a loop over the tasks of a control group; for security programs and iterators that may sleep."),
    kfunc("bpf_iter_css_task_next", 6, 7, COMMON, "The next task, null at the end.").may_be_null(),
    kfunc("bpf_iter_css_task_destroy", 6, 7, COMMON, "Ends that loop."),
    kfunc("bpf_iter_kmem_cache_new", 6, 14, COMMON, "Begins a loop over the slab caches of the kernel.").sleeps(),
    kfunc("bpf_iter_kmem_cache_next", 6, 14, COMMON, "The next slab cache, null at the end.").may_be_null().sleeps(),
    kfunc("bpf_iter_kmem_cache_destroy", 6, 14, COMMON, "Ends that loop.").sleeps(),
    kfunc("bpf_iter_dmabuf_new", 6, 16, COMMON, "Begins a loop over the DMA buffers of the machine.").sleeps(),
    kfunc("bpf_iter_dmabuf_next", 6, 16, COMMON, "The next DMA buffer, null at the end.").may_be_null().sleeps(),
    kfunc("bpf_iter_dmabuf_destroy", 6, 16, COMMON, "Ends that loop.").sleeps(),
    kfunc("bpf_get_kmem_cache", 6, 14, COMMON, "The slab cache that an address belongs to.").may_be_null(),
    kfunc("bpf_wq_init", 6, 10, COMMON, "Prepares the work item in a map value."),
    kfunc("bpf_wq_set_callback_impl", 6, 10, COMMON, "Says which function of the program the work item runs; it may sleep."),
    kfunc("bpf_wq_start", 6, 10, COMMON, "Queues the work item."),
    kfunc("bpf_preempt_disable", 6, 10, COMMON, "Keeps the program on its processor undisturbed by other tasks until bpf_preempt_enable."),
    kfunc("bpf_preempt_enable", 6, 10, COMMON, "Ends that section."),
    kfunc("bpf_local_irq_save", 6, 14, COMMON, "Disables interrupts on this processor and stores their state on the stack."),
    kfunc("bpf_local_irq_restore", 6, 14, COMMON, "Restores the state of interrupts, last saved first."),
    kfunc("bpf_res_spin_lock", 6, 15, COMMON, "Takes a lock that notices deadlocks and long waits and returns an error instead."),
    kfunc("bpf_res_spin_unlock", 6, 15, COMMON, "Releases it."),
    kfunc("bpf_res_spin_lock_irqsave", 6, 15, COMMON, "The same with interrupts disabled."),
    kfunc("bpf_res_spin_unlock_irqrestore", 6, 15, COMMON, "Releases it and restores interrupts."),
    kfunc("bpf_copy_from_user_str", 6, 12, COMMON, "Copies a text from user memory and may sleep to fault it in.").sleeps(),
    kfunc("bpf_copy_from_user_task_str", 6, 15, COMMON, "Copies a text from the memory of another process.").sleeps(),
    kfunc("bpf_copy_from_user_dynptr", 6, 16, COMMON, "Copies from user memory into a dynptr, of a length known only at run time.").sleeps(),
    kfunc("bpf_copy_from_user_str_dynptr", 6, 16, COMMON, "Copies a text from user memory into a dynptr.").sleeps(),
    kfunc("bpf_copy_from_user_task_dynptr", 6, 16, COMMON, "Copies from the memory of another process into a dynptr.").sleeps(),
    kfunc("bpf_copy_from_user_task_str_dynptr", 6, 16, COMMON, "Copies a text of another process into a dynptr.").sleeps(),
    kfunc("bpf_probe_read_kernel_dynptr", 6, 16, COMMON, "Copies kernel memory into a dynptr, of a length known only at run time."),
    kfunc("bpf_probe_read_kernel_str_dynptr", 6, 16, COMMON, "Copies a text of the kernel into a dynptr."),
    kfunc("bpf_probe_read_user_dynptr", 6, 16, COMMON, "Copies user memory into a dynptr without sleeping."),
    kfunc("bpf_probe_read_user_str_dynptr", 6, 16, COMMON, "Copies a text of user memory into a dynptr without sleeping."),
    kfunc("bpf_strcmp", 6, 17, COMMON, "Compares two texts anywhere in kernel memory."),
    kfunc("bpf_strcasecmp", 6, 18, COMMON, "Compares two texts without regard to case."),
    kfunc("bpf_strlen", 6, 17, COMMON, "Length of a text."),
    kfunc("bpf_strnlen", 6, 17, COMMON, "Length of a text, up to a limit."),
    kfunc("bpf_strchr", 6, 17, COMMON, "Where a byte first occurs in a text."),
    kfunc("bpf_strnchr", 6, 17, COMMON, "The same, up to a limit."),
    kfunc("bpf_strchrnul", 6, 17, COMMON, "Where a byte first occurs in a text, or its end."),
    kfunc("bpf_strrchr", 6, 17, COMMON, "Where a byte last occurs in a text."),
    kfunc("bpf_strstr", 6, 17, COMMON, "Where a text first occurs in another."),
    kfunc("bpf_strnstr", 6, 17, COMMON, "The same, up to a limit."),
    kfunc("bpf_strspn", 6, 17, COMMON, "How many bytes at the start belong to a set."),
    kfunc("bpf_strcspn", 6, 17, COMMON, "How many bytes at the start do not belong to a set."),
    kfunc("bpf_stream_vprintk_impl", 6, 18, COMMON, "Writes a line to the standard output or error stream of the program, which user space reads with bpf(2)."),
    kfunc("bpf_task_work_schedule_signal_impl", 6, 18, COMMON, "Runs a function in the context of a task, as soon as a signal would reach it."),
    kfunc("bpf_task_work_schedule_resume_impl", 6, 18, COMMON, "Runs a function in the context of a task when it next returns to user space."),
    kfunc("bpf_cgroup_read_xattr", 6, 17, COMMON, "Reads an extended attribute of a control group's directory."),
    kfunc("bpf_arena_alloc_pages", 6, 9, COMMON, "Allocates pages of an arena, at an address of the kernel's choice or the program's.").sleeps(),
    kfunc("bpf_arena_free_pages", 6, 9, COMMON, "Frees pages of an arena.").sleeps(),
    kfunc("bpf_arena_reserve_pages", 6, 17, COMMON, "Marks a range of an arena as not to be given out, for guard pages."),
    kfunc("bpf_map_sum_elem_count", 6, 6, COMMON, "Number of entries of a hash table, as the processors have counted them."),
    kfunc("bpf_obj_new_impl", 6, 2, GENERIC, "Allocates an object of a type of the program.").acquires().may_be_null(),
    kfunc("bpf_obj_drop_impl", 6, 2, GENERIC, "Frees such an object.").releases(),
    kfunc("bpf_percpu_obj_new_impl", 6, 7, GENERIC, "Allocates an object with a copy for each processor.").acquires().may_be_null(),
    kfunc("bpf_percpu_obj_drop_impl", 6, 7, GENERIC, "Frees it.").releases(),
    kfunc("bpf_refcount_acquire_impl", 6, 4, GENERIC, "Takes another reference to an object with a counter in it.").acquires().may_be_null(),
    kfunc("bpf_list_push_front_impl", 6, 2, GENERIC, "Puts an object at the front of a linked list; the list's lock has to be held."),
    kfunc("bpf_list_push_back_impl", 6, 2, GENERIC, "Puts an object at the back of a linked list."),
    kfunc("bpf_list_pop_front", 6, 2, GENERIC, "Takes the first object out of a linked list.").acquires().may_be_null(),
    kfunc("bpf_list_pop_back", 6, 2, GENERIC, "Takes the last object out of a linked list.").acquires().may_be_null(),
    kfunc("bpf_list_front", 6, 16, GENERIC, "The first object of a linked list, which stays there.").may_be_null(),
    kfunc("bpf_list_back", 6, 16, GENERIC, "The last object of a linked list, which stays there.").may_be_null(),
    kfunc("bpf_rbtree_add_impl", 6, 3, GENERIC, "Puts an object into a red-black tree, in the order that a function of the program says."),
    kfunc("bpf_rbtree_first", 6, 3, GENERIC, "The least object of a tree.").may_be_null(),
    kfunc("bpf_rbtree_remove", 6, 3, GENERIC, "Takes an object out of a tree.").acquires().may_be_null(),
    kfunc("bpf_rbtree_root", 6, 16, GENERIC, "The root of a tree, for walking down it.").may_be_null(),
    kfunc("bpf_rbtree_left", 6, 16, GENERIC, "The left child in a tree.").may_be_null(),
    kfunc("bpf_rbtree_right", 6, 16, GENERIC, "The right child in a tree.").may_be_null(),
    kfunc("bpf_task_acquire", 6, 2, GENERIC, "Takes a reference to a task, so that it may be kept in a map.").acquires().may_be_null(),
    kfunc("bpf_task_release", 6, 2, GENERIC, "Gives the reference back.").releases(),
    kfunc("bpf_task_from_pid", 6, 2, GENERIC, "Finds a task by its number in the initial name space.").acquires().may_be_null(),
    kfunc("bpf_task_from_vpid", 6, 14, GENERIC, "Finds a task by its number in the current task's name space.").acquires().may_be_null(),
    kfunc("bpf_task_under_cgroup", 6, 5, GENERIC, "Whether a task lies in a control group or below it."),
    kfunc("bpf_task_get_cgroup1", 6, 8, GENERIC, "The control group of a task in a hierarchy of cgroup1.").acquires().may_be_null(),
    kfunc("bpf_cgroup_acquire", 6, 2, GENERIC, "Takes a reference to a control group.").acquires().may_be_null(),
    kfunc("bpf_cgroup_release", 6, 2, GENERIC, "Gives the reference back.").releases(),
    kfunc("bpf_cgroup_ancestor", 6, 2, GENERIC, "An ancestor of a control group by its level.").acquires().may_be_null(),
    kfunc("bpf_cgroup_from_id", 6, 4, GENERIC, "Finds a control group by its number.").acquires().may_be_null(),
    kfunc("bpf_throw", 6, 7, GENERIC, "Ends the program at once, whatever function it is in; its exception function gives the result."),
    kfunc("bpf_send_signal_task", 6, 13, GENERIC, "Sends a signal to a task, to its process or its thread, with a value."),
    kfunc("bpf_cpumask_create", 6, 3, CPUMASK, "Allocates a set of processors.").acquires().may_be_null(),
    kfunc("bpf_cpumask_release", 6, 3, CPUMASK, "Frees it with its last reference.").releases(),
    kfunc("bpf_cpumask_acquire", 6, 3, CPUMASK, "Takes another reference to it.").acquires(),
    kfunc("bpf_cpumask_first", 6, 3, CPUMASK, "The first processor in the set."),
    kfunc("bpf_cpumask_first_zero", 6, 3, CPUMASK, "The first processor that is not in the set."),
    kfunc("bpf_cpumask_first_and", 6, 5, CPUMASK, "The first processor that is in both sets."),
    kfunc("bpf_cpumask_set_cpu", 6, 3, CPUMASK, "Adds a processor."),
    kfunc("bpf_cpumask_clear_cpu", 6, 3, CPUMASK, "Removes a processor."),
    kfunc("bpf_cpumask_test_cpu", 6, 3, CPUMASK, "Whether a processor is in the set."),
    kfunc("bpf_cpumask_test_and_set_cpu", 6, 3, CPUMASK, "Adds a processor and says whether it was there."),
    kfunc("bpf_cpumask_test_and_clear_cpu", 6, 3, CPUMASK, "Removes a processor and says whether it was there."),
    kfunc("bpf_cpumask_setall", 6, 3, CPUMASK, "Adds all processors."),
    kfunc("bpf_cpumask_clear", 6, 3, CPUMASK, "Removes all processors."),
    kfunc("bpf_cpumask_and", 6, 3, CPUMASK, "The processors that are in both sets."),
    kfunc("bpf_cpumask_or", 6, 3, CPUMASK, "The processors that are in one of the sets."),
    kfunc("bpf_cpumask_xor", 6, 3, CPUMASK, "The processors that are in just one of the sets."),
    kfunc("bpf_cpumask_equal", 6, 3, CPUMASK, "Whether the sets are equal."),
    kfunc("bpf_cpumask_intersects", 6, 3, CPUMASK, "Whether the sets have a processor in common."),
    kfunc("bpf_cpumask_subset", 6, 3, CPUMASK, "Whether the first set lies in the second."),
    kfunc("bpf_cpumask_empty", 6, 3, CPUMASK, "Whether the set is empty."),
    kfunc("bpf_cpumask_full", 6, 3, CPUMASK, "Whether all processors are in the set."),
    kfunc("bpf_cpumask_copy", 6, 3, CPUMASK, "Copies a set."),
    kfunc("bpf_cpumask_any_distribute", 6, 5, CPUMASK, "A processor of the set, a different one at each call."),
    kfunc("bpf_cpumask_any_and_distribute", 6, 5, CPUMASK, "A processor of both sets, a different one at each call."),
    kfunc("bpf_cpumask_weight", 6, 8, CPUMASK, "Number of processors in the set."),
    kfunc("bpf_cpumask_populate", 6, 15, CPUMASK, "Fills a set from bits in memory."),
    kfunc("bpf_crypto_ctx_create", 6, 10, SYSCALL, "Prepares a cipher with its key, in a syscall program.").acquires().may_be_null().sleeps(),
    kfunc("bpf_crypto_ctx_release", 6, 10, SYSCALL, "Gives the cipher back.").releases(),
    kfunc("bpf_crypto_ctx_acquire", 6, 10, SYSCALL, "Takes another reference to the cipher.").acquires().may_be_null(),
    kfunc("bpf_crypto_encrypt", 6, 10, CRYPT, "Encrypts from one dynptr to another, for packets."),
    kfunc("bpf_crypto_decrypt", 6, 10, CRYPT, "Decrypts from one dynptr to another."),
    kfunc("bpf_xdp_metadata_rx_timestamp", 6, 3, XDP, "When the card received the packet, if the driver says so; for programs bound to a device."),
    kfunc("bpf_xdp_metadata_rx_hash", 6, 3, XDP, "The hash that the card computed, and over what."),
    kfunc("bpf_xdp_metadata_rx_vlan_tag", 6, 8, XDP, "The VLAN tag that the card took off."),
    kfunc("bpf_xdp_pull_data", 6, 18, XDP, "Makes the first bytes of a packet in several buffers linear."),
    kfunc("bpf_xdp_ct_lookup", 6, 0, PACKET, "Finds the tracked connection of a tuple, for XDP programs.").acquires().may_be_null(),
    kfunc("bpf_skb_ct_lookup", 6, 0, PACKET, "Finds the tracked connection of a tuple, for traffic control.").acquires().may_be_null(),
    kfunc("bpf_xdp_ct_alloc", 6, 0, PACKET, "Makes a tracked connection that is not yet in the table, for XDP programs.").acquires().may_be_null(),
    kfunc("bpf_skb_ct_alloc", 6, 0, PACKET, "The same for traffic control.").acquires().may_be_null(),
    kfunc("bpf_ct_insert_entry", 6, 0, PACKET, "Puts a new connection into the table.").acquires().releases().may_be_null(),
    kfunc("bpf_ct_release", 6, 0, PACKET, "Gives back a connection that a lookup returned.").releases(),
    kfunc("bpf_ct_set_timeout", 6, 0, PACKET, "Says when a new connection expires."),
    kfunc("bpf_ct_change_timeout", 6, 0, PACKET, "Changes when a connection expires."),
    kfunc("bpf_ct_set_status", 6, 0, PACKET, "Sets the status bits of a new connection."),
    kfunc("bpf_ct_change_status", 6, 0, PACKET, "Changes the status bits of a connection."),
    kfunc("bpf_ct_set_nat_info", 6, 1, PACKET, "Sets the address translation of a new connection."),
    kfunc("bpf_xdp_flow_lookup", 6, 10, XDP, "Finds the entry of a netfilter flow table for a packet.").may_be_null(),
    kfunc("bpf_xdp_get_xfrm_state", 6, 8, XDP, "Finds the IPsec state of a packet.").acquires().may_be_null(),
    kfunc("bpf_xdp_xfrm_state_release", 6, 8, XDP, "Gives it back.").releases(),
    kfunc("bpf_skb_get_xfrm_info", 6, 2, TC, "Reads the IPsec interface that a packet came through."),
    kfunc("bpf_skb_set_xfrm_info", 6, 2, TC, "Chooses the IPsec interface that a packet leaves through."),
    kfunc("bpf_skb_set_fou_encap", 6, 4, TC, "Sets up an encapsulation in UDP for the tunnel device."),
    kfunc("bpf_skb_get_fou_encap", 6, 4, TC, "Reads the ports of an encapsulation in UDP."),
    kfunc("bpf_sk_assign_tcp_reqsk", 6, 9, TC, "Makes the kernel accept a SYN cookie that the program has checked itself."),
    kfunc("bpf_sock_addr_set_sun_path", 6, 7, SOCK_ADDR, "Changes the address of a Unix socket."),
    kfunc("bpf_sock_ops_enable_tx_tstamp", 6, 15, SOCK_OPS, "Asks for time stamps of the data being sent."),
    kfunc("bpf_sock_destroy", 6, 5, ITERATORS, "Closes the TCP or UDP socket that an iterator shows."),
    kfunc("bpf_session_is_return", 6, 10, KPROBE, "Whether a session program runs at the return of the function."),
    kfunc("bpf_session_cookie", 6, 10, KPROBE, "Eight bytes that a session program keeps between entry and return."),
    kfunc("bpf_lookup_user_key", 6, 1, TRACED, "Finds a key ring by its serial number.").acquires().may_be_null().sleeps(),
    kfunc("bpf_lookup_system_key", 6, 1, TRACED, "Finds one of the kernel's own key rings.").acquires().may_be_null(),
    kfunc("bpf_key_put", 6, 1, TRACED, "Gives a key ring back.").releases(),
    kfunc("bpf_verify_pkcs7_signature", 6, 1, TRACED, "Checks a signature over data against a key ring.").sleeps(),
    kfunc("bpf_get_file_xattr", 6, 8, LSM, "Reads an extended attribute of a file.").sleeps(),
    kfunc("bpf_get_dentry_xattr", 6, 10, LSM, "Reads an extended attribute of a directory entry.").sleeps(),
    kfunc("bpf_set_dentry_xattr", 6, 15, LSM, "Sets an extended attribute whose name begins with security.bpf.").sleeps(),
    kfunc("bpf_remove_dentry_xattr", 6, 15, LSM, "Removes such an attribute.").sleeps(),
    kfunc("bpf_get_task_exe_file", 6, 12, LSM, "The executable file of a task.").acquires().may_be_null(),
    kfunc("bpf_put_file", 6, 12, LSM, "Gives a file back.").releases(),
    kfunc("bpf_path_d_path", 6, 12, LSM, "Writes the full name of a path."),
    kfunc("bpf_get_fsverity_digest", 6, 8, LSM, "Reads the fs-verity digest of a file."),
    kfunc("css_rstat_updated", 6, 16, TRACED, "Marks the statistics of a control group as changed; cgroup_rstat_updated from 6.1 to 6.15."),
    kfunc("css_rstat_flush", 6, 16, TRACED, "Brings the statistics of a control group and its descendants up to date; cgroup_rstat_flush from 6.1 to 6.15.").sleeps(),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_described() {
        for (index, kfunc) in KFUNCS.iter().enumerate() {
            assert_eq!(KFUNCS.iter().position(|other| other.name == kfunc.name), Some(index), "{}", kfunc.name);
            assert_eq!(by_name(kfunc.name), Some(kfunc));
            assert!(kfunc.about.ends_with('.') && !kfunc.programs.is_empty(), "{}", kfunc.name);
        }
        assert_eq!(by_name("bpf_nosuch"), None);
    }
}

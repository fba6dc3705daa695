//! Names of numbers around objects of System V and keys (`linux/ipc.h`, `linux/sem.h`, `linux/shm.h`, `linux/msg.h`,
//! `linux/keyctl.h`).

use super::sets::Set;

// TABLE: one row for each set; names in the order in which they are printed.
#[rustfmt::skip]
pub const SETS: &[Set] = &[
    Set { name: "ipc", unknown: "IPC_???", rows: &[
        (0x200, "IPC_CREAT"), (0x400, "IPC_EXCL"), (0x800, "IPC_NOWAIT"),
    ] },
    Set { name: "shm_flags", unknown: "SHM_???", rows: &[
        (0x200, "IPC_CREAT"), (0x400, "IPC_EXCL"), (0x800, "SHM_HUGETLB"), (0x1000, "SHM_NORESERVE"),
    ] },
    Set { name: "shmat", unknown: "SHM_???", rows: &[
        (0x1000, "SHM_RDONLY"), (0x2000, "SHM_RND"), (0x4000, "SHM_REMAP"), (0x8000, "SHM_EXEC"),
    ] },
    Set { name: "msgflg", unknown: "MSG_???", rows: &[
        (0x1000, "MSG_NOERROR"), (0x2000, "MSG_EXCEPT"), (0x4000, "MSG_COPY"), (0x800, "IPC_NOWAIT"),
    ] },
    Set { name: "sem_cmd", unknown: "SEM_???", rows: &[
        (0, "IPC_RMID"), (1, "IPC_SET"), (2, "IPC_STAT"), (3, "IPC_INFO"), (0xb, "GETPID"), (0xc, "GETVAL"),
        (0xd, "GETALL"), (0xe, "GETNCNT"), (0xf, "GETZCNT"), (0x10, "SETVAL"), (0x11, "SETALL"), (0x12, "SEM_STAT"),
        (0x13, "SEM_INFO"), (0x14, "SEM_STAT_ANY"),
    ] },
    Set { name: "shm_cmd", unknown: "SHM_???", rows: &[
        (0, "IPC_RMID"), (1, "IPC_SET"), (2, "IPC_STAT"), (3, "IPC_INFO"), (0xb, "SHM_LOCK"), (0xc, "SHM_UNLOCK"),
        (0xd, "SHM_STAT"), (0xe, "SHM_INFO"), (0xf, "SHM_STAT_ANY"),
    ] },
    Set { name: "msg_cmd", unknown: "MSG_???", rows: &[
        (0, "IPC_RMID"), (1, "IPC_SET"), (2, "IPC_STAT"), (3, "IPC_INFO"), (0xb, "MSG_STAT"), (0xc, "MSG_INFO"),
        (0xd, "MSG_STAT_ANY"),
    ] },
    Set { name: "keyctl", unknown: "KEYCTL_???", rows: &[
        (0, "KEYCTL_GET_KEYRING_ID"), (1, "KEYCTL_JOIN_SESSION_KEYRING"), (2, "KEYCTL_UPDATE"), (3, "KEYCTL_REVOKE"),
        (4, "KEYCTL_CHOWN"), (5, "KEYCTL_SETPERM"), (6, "KEYCTL_DESCRIBE"), (7, "KEYCTL_CLEAR"), (8, "KEYCTL_LINK"),
        (9, "KEYCTL_UNLINK"), (0xa, "KEYCTL_SEARCH"), (0xb, "KEYCTL_READ"), (0xc, "KEYCTL_INSTANTIATE"),
        (0xd, "KEYCTL_NEGATE"), (0xe, "KEYCTL_SET_REQKEY_KEYRING"), (0xf, "KEYCTL_SET_TIMEOUT"),
        (0x10, "KEYCTL_ASSUME_AUTHORITY"), (0x11, "KEYCTL_GET_SECURITY"), (0x12, "KEYCTL_SESSION_TO_PARENT"),
        (0x13, "KEYCTL_REJECT"), (0x14, "KEYCTL_INSTANTIATE_IOV"), (0x15, "KEYCTL_INVALIDATE"),
        (0x16, "KEYCTL_GET_PERSISTENT"), (0x17, "KEYCTL_DH_COMPUTE"), (0x18, "KEYCTL_PKEY_QUERY"),
        (0x19, "KEYCTL_PKEY_ENCRYPT"), (0x1a, "KEYCTL_PKEY_DECRYPT"), (0x1b, "KEYCTL_PKEY_SIGN"),
        (0x1c, "KEYCTL_PKEY_VERIFY"), (0x1d, "KEYCTL_RESTRICT_KEYRING"), (0x1e, "KEYCTL_MOVE"),
        (0x1f, "KEYCTL_CAPABILITIES"), (0x20, "KEYCTL_WATCH_KEY"),
    ] },
    Set { name: "key_spec", unknown: "", rows: &[
        (0xffffffff, "KEY_SPEC_THREAD_KEYRING"), (0xfffffffe, "KEY_SPEC_PROCESS_KEYRING"),
        (0xfffffffd, "KEY_SPEC_SESSION_KEYRING"), (0xfffffffc, "KEY_SPEC_USER_KEYRING"),
        (0xfffffffb, "KEY_SPEC_USER_SESSION_KEYRING"), (0xfffffffa, "KEY_SPEC_GROUP_KEYRING"),
        (0xfffffff9, "KEY_SPEC_REQKEY_AUTH_KEY"), (0xfffffff8, "KEY_SPEC_REQUESTOR_KEYRING"),
    ] },
    Set { name: "key_perm", unknown: "KEY_???", rows: &[
        (0x1000000, "KEY_POS_VIEW"), (0x2000000, "KEY_POS_READ"), (0x4000000, "KEY_POS_WRITE"),
        (0x8000000, "KEY_POS_SEARCH"), (0x10000000, "KEY_POS_LINK"), (0x20000000, "KEY_POS_SETATTR"),
        (0x10000, "KEY_USR_VIEW"), (0x20000, "KEY_USR_READ"), (0x40000, "KEY_USR_WRITE"), (0x80000, "KEY_USR_SEARCH"),
        (0x100000, "KEY_USR_LINK"), (0x200000, "KEY_USR_SETATTR"), (0x100, "KEY_GRP_VIEW"), (0x200, "KEY_GRP_READ"),
        (0x400, "KEY_GRP_WRITE"), (0x800, "KEY_GRP_SEARCH"), (0x1000, "KEY_GRP_LINK"), (0x2000, "KEY_GRP_SETATTR"),
        (1, "KEY_OTH_VIEW"), (2, "KEY_OTH_READ"), (4, "KEY_OTH_WRITE"), (8, "KEY_OTH_SEARCH"), (0x10, "KEY_OTH_LINK"),
        (0x20, "KEY_OTH_SETATTR"),
    ] },
    Set { name: "key_move", unknown: "KEYCTL_MOVE_???", rows: &[
        (1, "KEYCTL_MOVE_EXCL"),
    ] },
    Set { name: "key_request", unknown: "KEY_REQKEY_DEFL_???", rows: &[
        (0xffffffff, "KEY_REQKEY_DEFL_NO_CHANGE"), (0, "KEY_REQKEY_DEFL_DEFAULT"),
        (1, "KEY_REQKEY_DEFL_THREAD_KEYRING"), (2, "KEY_REQKEY_DEFL_PROCESS_KEYRING"),
        (3, "KEY_REQKEY_DEFL_SESSION_KEYRING"), (4, "KEY_REQKEY_DEFL_USER_KEYRING"),
        (5, "KEY_REQKEY_DEFL_USER_SESSION_KEYRING"), (6, "KEY_REQKEY_DEFL_GROUP_KEYRING"),
        (7, "KEY_REQKEY_DEFL_REQUESTOR_KEYRING"),
    ] },
    Set { name: "sigev", unknown: "SIGEV_???", rows: &[
        (0, "SIGEV_SIGNAL"), (1, "SIGEV_NONE"), (2, "SIGEV_THREAD"), (4, "SIGEV_THREAD_ID"),
    ] },
];

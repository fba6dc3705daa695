//! Names of numbers around file systems and mounts (`linux/mount.h`, `linux/fanotify.h`, `linux/landlock.h`,
//! `linux/quota.h`, `linux/dqblk_xfs.h`).

use super::sets::Set;

// TABLE: one row for each set; names in the order in which they are printed.
#[rustfmt::skip]
pub const SETS: &[Set] = &[
    Set { name: "mount", unknown: "MS_???", rows: &[
        (1, "MS_RDONLY"), (2, "MS_NOSUID"), (4, "MS_NODEV"), (8, "MS_NOEXEC"), (0x10, "MS_SYNCHRONOUS"),
        (0x20, "MS_REMOUNT"), (0x40, "MS_MANDLOCK"), (0x80, "MS_DIRSYNC"), (0x100, "MS_NOSYMFOLLOW"),
        (0x400, "MS_NOATIME"), (0x800, "MS_NODIRATIME"), (0x1000, "MS_BIND"), (0x2000, "MS_MOVE"), (0x4000, "MS_REC"),
        (0x8000, "MS_SILENT"), (0x10000, "MS_POSIXACL"), (0x20000, "MS_UNBINDABLE"), (0x40000, "MS_PRIVATE"),
        (0x80000, "MS_SLAVE"), (0x100000, "MS_SHARED"), (0x200000, "MS_RELATIME"), (0x400000, "MS_KERNMOUNT"),
        (0x800000, "MS_I_VERSION"), (0x1000000, "MS_STRICTATIME"), (0x2000000, "MS_LAZYTIME"),
        (0x4000000, "MS_SUBMOUNT"), (0x8000000, "MS_NOREMOTELOCK"), (0x10000000, "MS_NOSEC"), (0x20000000, "MS_BORN"),
        (0x40000000, "MS_ACTIVE"), (0x80000000, "MS_NOUSER"),
    ] },
    Set { name: "umount", unknown: "MNT_???", rows: &[
        (1, "MNT_FORCE"), (2, "MNT_DETACH"), (4, "MNT_EXPIRE"), (8, "UMOUNT_NOFOLLOW"),
    ] },
    Set { name: "fsopen", unknown: "FSOPEN_???", rows: &[
        (1, "FSOPEN_CLOEXEC"),
    ] },
    Set { name: "fsmount", unknown: "FSMOUNT_???", rows: &[
        (1, "FSMOUNT_CLOEXEC"),
    ] },
    Set { name: "mount_attr", unknown: "MOUNT_ATTR_???", rows: &[
        (1, "MOUNT_ATTR_RDONLY"), (2, "MOUNT_ATTR_NOSUID"), (4, "MOUNT_ATTR_NODEV"), (8, "MOUNT_ATTR_NOEXEC"),
        (0x10, "MOUNT_ATTR_NOATIME"), (0x20, "MOUNT_ATTR_STRICTATIME"), (0x80, "MOUNT_ATTR_NODIRATIME"),
    ] },
    Set { name: "mount_setattr", unknown: "MOUNT_ATTR_???", rows: &[
        (1, "MOUNT_ATTR_RDONLY"), (2, "MOUNT_ATTR_NOSUID"), (4, "MOUNT_ATTR_NODEV"), (8, "MOUNT_ATTR_NOEXEC"),
        (0x10, "MOUNT_ATTR_NOATIME"), (0x20, "MOUNT_ATTR_STRICTATIME"), (0x80, "MOUNT_ATTR_NODIRATIME"),
        (0x100000, "MOUNT_ATTR_IDMAP"), (0x200000, "MOUNT_ATTR_NOSYMFOLLOW"),
    ] },
    Set { name: "propagation", unknown: "MS_???", rows: &[
        (0x20000, "MS_UNBINDABLE"), (0x40000, "MS_PRIVATE"), (0x80000, "MS_SLAVE"), (0x100000, "MS_SHARED"),
    ] },
    Set { name: "fspick", unknown: "FSPICK_???", rows: &[
        (1, "FSPICK_CLOEXEC"), (2, "FSPICK_SYMLINK_NOFOLLOW"), (4, "FSPICK_NO_AUTOMOUNT"), (8, "FSPICK_EMPTY_PATH"),
    ] },
    Set { name: "open_tree", unknown: "OPEN_TREE_???", rows: &[
        (1, "OPEN_TREE_CLONE"), (0x80000, "OPEN_TREE_CLOEXEC"), (0x100, "AT_SYMLINK_NOFOLLOW"),
        (0x200, "AT_REMOVEDIR"), (0x400, "AT_SYMLINK_FOLLOW"), (0x800, "AT_NO_AUTOMOUNT"), (0x1000, "AT_EMPTY_PATH"),
        (0x8000, "AT_RECURSIVE"),
    ] },
    Set { name: "move_mount", unknown: "MOVE_MOUNT_???", rows: &[
        (1, "MOVE_MOUNT_F_SYMLINKS"), (2, "MOVE_MOUNT_F_AUTOMOUNTS"), (4, "MOVE_MOUNT_F_EMPTY_PATH"),
        (0x10, "MOVE_MOUNT_T_SYMLINKS"), (0x20, "MOVE_MOUNT_T_AUTOMOUNTS"), (0x40, "MOVE_MOUNT_T_EMPTY_PATH"),
        (0x100, "MOVE_MOUNT_SET_GROUP"),
    ] },
    Set { name: "mount_at", unknown: "AT_???", rows: &[
        (0x100, "AT_SYMLINK_NOFOLLOW"), (0x800, "AT_NO_AUTOMOUNT"), (0x1000, "AT_EMPTY_PATH"),
        (0x8000, "AT_RECURSIVE"),
    ] },
    Set { name: "fsconfig", unknown: "FSCONFIG_???", rows: &[
        (0, "FSCONFIG_SET_FLAG"), (1, "FSCONFIG_SET_STRING"), (2, "FSCONFIG_SET_BINARY"), (3, "FSCONFIG_SET_PATH"),
        (4, "FSCONFIG_SET_PATH_EMPTY"), (5, "FSCONFIG_SET_FD"), (6, "FSCONFIG_CMD_CREATE"),
        (7, "FSCONFIG_CMD_RECONFIGURE"),
    ] },
    Set { name: "handle_at", unknown: "AT_???", rows: &[
        (0x400, "AT_SYMLINK_FOLLOW"), (0x1000, "AT_EMPTY_PATH"),
    ] },
    Set { name: "fan_class", unknown: "FAN_CLASS_???", rows: &[
        (0, "FAN_CLASS_NOTIF"), (4, "FAN_CLASS_CONTENT"), (8, "FAN_CLASS_PRE_CONTENT"),
    ] },
    Set { name: "fan_init", unknown: "FAN_???", rows: &[
        (1, "FAN_CLOEXEC"), (2, "FAN_NONBLOCK"), (0x10, "FAN_UNLIMITED_QUEUE"), (0x20, "FAN_UNLIMITED_MARKS"),
        (0x40, "FAN_ENABLE_AUDIT"), (0x80, "FAN_REPORT_PIDFD"), (0x100, "FAN_REPORT_TID"), (0x200, "FAN_REPORT_FID"),
        (0x400, "FAN_REPORT_DIR_FID"), (0x800, "FAN_REPORT_NAME"), (0x1000, "FAN_REPORT_TARGET_FID"),
    ] },
    Set { name: "fan_mark", unknown: "FAN_MARK_???", rows: &[
        (1, "FAN_MARK_ADD"), (2, "FAN_MARK_REMOVE"), (4, "FAN_MARK_DONT_FOLLOW"), (8, "FAN_MARK_ONLYDIR"),
        (0x10, "FAN_MARK_MOUNT"), (0x20, "FAN_MARK_IGNORED_MASK"), (0x40, "FAN_MARK_IGNORED_SURV_MODIFY"),
        (0x80, "FAN_MARK_FLUSH"), (0x100, "FAN_MARK_FILESYSTEM"), (0x200, "FAN_MARK_EVICTABLE"),
        (0x400, "FAN_MARK_IGNORE"),
    ] },
    Set { name: "fan_mask", unknown: "FAN_???", rows: &[
        (1, "FAN_ACCESS"), (2, "FAN_MODIFY"), (4, "FAN_ATTRIB"), (8, "FAN_CLOSE_WRITE"), (0x10, "FAN_CLOSE_NOWRITE"),
        (0x20, "FAN_OPEN"), (0x40, "FAN_MOVED_FROM"), (0x80, "FAN_MOVED_TO"), (0x100, "FAN_CREATE"),
        (0x200, "FAN_DELETE"), (0x400, "FAN_DELETE_SELF"), (0x800, "FAN_MOVE_SELF"), (0x1000, "FAN_OPEN_EXEC"),
        (0x4000, "FAN_Q_OVERFLOW"), (0x8000, "FAN_FS_ERROR"), (0x10000, "FAN_OPEN_PERM"),
        (0x20000, "FAN_ACCESS_PERM"), (0x40000, "FAN_OPEN_EXEC_PERM"), (0x80000, "FAN_DIR_MODIFY"),
        (0x40000000, "FAN_ONDIR"), (0x8000000, "FAN_EVENT_ON_CHILD"), (0x10000000, "FAN_RENAME"),
    ] },
    Set { name: "swap", unknown: "SWAP_FLAG_???", rows: &[
        (0x8000, "SWAP_FLAG_PREFER"), (0x10000, "SWAP_FLAG_DISCARD"), (0x20000, "SWAP_FLAG_DISCARD_ONCE"),
        (0x40000, "SWAP_FLAG_DISCARD_PAGES"),
    ] },
    Set { name: "uffd", unknown: "UFFD_???", rows: &[
        (1, "UFFD_USER_MODE_ONLY"), (0x800, "O_NONBLOCK"), (0x80000, "O_CLOEXEC"),
    ] },
    Set { name: "memfd_secret", unknown: "", rows: &[
        (0x80000, "O_CLOEXEC"),
    ] },
    Set { name: "rwf", unknown: "RWF_???", rows: &[
        (1, "RWF_HIPRI"), (2, "RWF_DSYNC"), (4, "RWF_SYNC"), (8, "RWF_NOWAIT"), (0x10, "RWF_APPEND"),
    ] },
    Set { name: "resolve", unknown: "RESOLVE_???", rows: &[
        (1, "RESOLVE_NO_XDEV"), (2, "RESOLVE_NO_MAGICLINKS"), (4, "RESOLVE_NO_SYMLINKS"), (8, "RESOLVE_BENEATH"),
        (0x10, "RESOLVE_IN_ROOT"), (0x20, "RESOLVE_CACHED"),
    ] },
    Set { name: "landlock_create", unknown: "LANDLOCK_CREATE_RULESET_???", rows: &[
        (1, "LANDLOCK_CREATE_RULESET_VERSION"),
    ] },
    Set { name: "landlock_fs", unknown: "LANDLOCK_ACCESS_FS_???", rows: &[
        (1, "LANDLOCK_ACCESS_FS_EXECUTE"), (2, "LANDLOCK_ACCESS_FS_WRITE_FILE"), (4, "LANDLOCK_ACCESS_FS_READ_FILE"),
        (8, "LANDLOCK_ACCESS_FS_READ_DIR"), (0x10, "LANDLOCK_ACCESS_FS_REMOVE_DIR"),
        (0x20, "LANDLOCK_ACCESS_FS_REMOVE_FILE"), (0x40, "LANDLOCK_ACCESS_FS_MAKE_CHAR"),
        (0x80, "LANDLOCK_ACCESS_FS_MAKE_DIR"), (0x100, "LANDLOCK_ACCESS_FS_MAKE_REG"),
        (0x200, "LANDLOCK_ACCESS_FS_MAKE_SOCK"), (0x400, "LANDLOCK_ACCESS_FS_MAKE_FIFO"),
        (0x800, "LANDLOCK_ACCESS_FS_MAKE_BLOCK"), (0x1000, "LANDLOCK_ACCESS_FS_MAKE_SYM"),
        (0x2000, "LANDLOCK_ACCESS_FS_REFER"),
    ] },
    Set { name: "landlock_rule", unknown: "LANDLOCK_RULE_???", rows: &[
        (1, "LANDLOCK_RULE_PATH_BENEATH"),
    ] },
    Set { name: "quota", unknown: "Q_???", rows: &[
        (0x800001, "Q_SYNC"), (0x800002, "Q_QUOTAON"), (0x800003, "Q_QUOTAOFF"), (0x800004, "Q_GETFMT"),
        (0x800005, "Q_GETINFO"), (0x800006, "Q_SETINFO"), (0x800007, "Q_GETQUOTA"), (0x800008, "Q_SETQUOTA"),
        (0x800009, "Q_GETNEXTQUOTA"), (0x5801, "Q_XQUOTAON"), (0x5802, "Q_XQUOTAOFF"), (0x5803, "Q_XGETQUOTA"),
        (0x5804, "Q_XSETQLIM"), (0x5805, "Q_XGETQSTAT"), (0x5806, "Q_XQUOTARM"), (0x5807, "Q_XQUOTASYNC"),
        (0x5808, "Q_XGETQSTATV"), (0x5809, "Q_XGETNEXTQUOTA"),
    ] },
    Set { name: "quota_type", unknown: "???QUOTA", rows: &[
        (0, "USRQUOTA"), (1, "GRPQUOTA"), (2, "PRJQUOTA"),
    ] },
    Set { name: "quota_format", unknown: "QFMT_VFS_???", rows: &[
        (1, "QFMT_VFS_OLD"), (2, "QFMT_VFS_V0"), (3, "QFMT_OCFS2"), (4, "QFMT_VFS_V1"),
    ] },
    Set { name: "quota_info", unknown: "DQF_???", rows: &[
        (1, "DQF_ROOT_SQUASH"), (0x10000, "DQF_SYS_FILE"),
    ] },
    Set { name: "quota_info_valid", unknown: "IIF_???", rows: &[
        (1, "IIF_BGRACE"), (2, "IIF_IGRACE"), (4, "IIF_FLAGS"),
    ] },
    Set { name: "quota_valid", unknown: "QIF_???", rows: &[
        (0x3f, "QIF_ALL"), (5, "QIF_LIMITS"), (0xa, "QIF_USAGE"), (0x30, "QIF_TIMES"), (1, "QIF_BLIMITS"),
        (2, "QIF_SPACE"), (4, "QIF_ILIMITS"), (8, "QIF_INODES"), (0x10, "QIF_BTIME"), (0x20, "QIF_ITIME"),
    ] },
    Set { name: "xfs_quota", unknown: "FS_QUOTA_???", rows: &[
        (1, "FS_QUOTA_UDQ_ACCT"), (2, "FS_QUOTA_UDQ_ENFD"), (4, "FS_QUOTA_GDQ_ACCT"), (8, "FS_QUOTA_GDQ_ENFD"),
        (0x10, "FS_QUOTA_PDQ_ACCT"), (0x20, "FS_QUOTA_PDQ_ENFD"),
    ] },
    Set { name: "xfs_quota_type", unknown: "FS_???_QUOTA", rows: &[
        (1, "FS_USER_QUOTA"), (2, "FS_PROJ_QUOTA"), (4, "FS_GROUP_QUOTA"),
    ] },
];

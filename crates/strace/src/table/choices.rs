//! What arguments are that depend on the one in front of them: commands, options, requests.
//!
//! A row has numbers of the argument in front and [words](super::kind) for those that follow; the row without numbers is
//! for all others.

use std::collections::HashMap;
use std::sync::OnceLock;

use super::kind::Kind;

/// How arguments depend on the one in front of them.
#[derive(Debug)]
pub struct Choice {
    /// By which rows of calls refer to it.
    pub name: &'static str,
    /// The bits that decide.
    mask: u64,
    /// How far they are moved down.
    shift: u32,
    /// Numbers, and words for the arguments that follow.
    rows: &'static [(&'static [u64], &'static str)],
}

/// The choice with a name.
pub fn find(name: &str) -> Option<&'static Choice> {
    CHOICES.iter().find(|choice| choice.name == name)
}

/// The kinds that words mean.
fn kinds(words: &'static str) -> &'static [Kind] {
    static KINDS: OnceLock<HashMap<&'static str, Vec<Kind>>> = OnceLock::new();
    let all = KINDS.get_or_init(|| {
        let rows = CHOICES.iter().flat_map(|choice| choice.rows);
        rows.map(|row| (row.1, row.1.split_ascii_whitespace().filter_map(Kind::parse).collect())).collect()
    });
    all.get(words).map_or(&[], Vec::as_slice)
}

impl Choice {
    /// The kinds of the arguments behind one with this value.
    pub fn pick(&self, value: u64) -> &'static [Kind] {
        let value = (value & self.mask) >> self.shift;
        let row = self.rows.iter().find(|row| row.0.is_empty() || row.0.contains(&value));
        row.map_or(&[], |row| kinds(row.1))
    }

    /// What all rows may be.
    pub fn all(&self) -> impl Iterator<Item = &'static [Kind]> {
        self.rows.iter().map(|row| kinds(row.1))
    }
}

const INT: u64 = 0xffff_ffff;

// TABLE: the manual pages of the calls; the row for all others is the last one.
#[rustfmt::skip]
static CHOICES: &[Choice] = &[
    // Commands of semctl(2), shmctl(2) and msgctl(2) may have IPC_64 in them.
    Choice { name: "semctl", mask: INT & !0x100, shift: 0, rows: &[
        (&[1], "s:semid_set"), (&[2, 18, 20], "o:semid"), (&[3, 19], "o:seminfo"), (&[], "addr"),
    ] },
    Choice { name: "shmctl", mask: INT & !0x100, shift: 0, rows: &[
        (&[1], "s:shmid_set"), (&[2, 13, 15], "o:shmid"), (&[3], "o:shminfo"), (&[14], "o:shm_info"), (&[], "addr"),
    ] },
    Choice { name: "msgctl", mask: INT & !0x100, shift: 0, rows: &[
        (&[1], "s:msqid_set"), (&[2, 11, 13], "o:msqid"), (&[3, 12], "o:msginfo"), (&[], "addr"),
    ] },
    // The command of quotactl(2) is in front of the type of quotas.
    Choice { name: "quotactl", mask: INT, shift: 8, rows: &[
        (&[0x80_0001, 0x80_0003, 0x5807], "path"), (&[0x80_0002], "path e:quota_format path"),
        (&[0x80_0004], "path skip o:quota_format"), (&[0x80_0005], "path skip o:quota_info"),
        (&[0x80_0006], "path skip s:quota_info"), (&[0x80_0007], "path int o:quota"), (&[0x80_0008], "path int s:quota"),
        (&[0x80_0009], "path int o:quota_next"), (&[0x5801, 0x5802], "path skip s:xfs_flags"),
        (&[0x5803, 0x5809], "path int o:xfs_quota"), (&[0x5804], "path int s:xfs_quota"),
        (&[0x5805, 0x5808], "path skip addr"), (&[0x5806], "path skip s:xfs_types"), (&[], "path int addr"),
    ] },
    Choice { name: "quotactl_fd", mask: INT, shift: 8, rows: &[
        (&[0x80_0001, 0x80_0003, 0x5807], ""), (&[0x80_0002], "e:quota_format path"), (&[0x80_0004], "skip o:quota_format"),
        (&[0x80_0005], "skip o:quota_info"), (&[0x80_0006], "skip s:quota_info"), (&[0x80_0007], "int o:quota"),
        (&[0x80_0008], "int s:quota"), (&[0x80_0009], "int o:quota_next"), (&[0x5801, 0x5802], "skip s:xfs_flags"),
        (&[0x5803, 0x5809], "int o:xfs_quota"), (&[0x5804], "int s:xfs_quota"), (&[0x5805, 0x5808], "skip addr"),
        (&[0x5806], "skip s:xfs_types"), (&[], "int addr"),
    ] },
    Choice { name: "syslog", mask: INT, shift: 0, rows: &[
        (&[0, 1, 5, 6, 7, 9, 10], ""), (&[2, 3, 4], "out int"), (&[8], "addr n:loglevel"), (&[], "addr int"),
    ] },
    Choice { name: "reboot", mask: INT, shift: 0, rows: &[(&[0xa1b2_c3d4], "text"), (&[], "")] },
    Choice { name: "fsconfig", mask: INT, shift: 0, rows: &[
        (&[0], "text addr int"), (&[1], "text text int"), (&[2], "text inhex:4 int"), (&[3, 4], "text path dirfd"),
        (&[5], "text addr fd"), (&[], "addr addr int"),
    ] },
    Choice { name: "kcmp", mask: INT, shift: 0, rows: &[
        (&[0], "fd fd"), (&[7], "fd s:kcmp_slot"), (&[1, 2, 3, 4, 5, 6], ""), (&[], "hex hex"),
    ] },
    Choice { name: "seccomp", mask: INT, shift: 0, rows: &[
        (&[1], "f:seccomp_flags s:sock_fprog"), (&[2], "hex32 s:seccomp_ret"), (&[3], "hex32 o:seccomp_sizes"),
        (&[], "hex32 addr"),
    ] },
    Choice { name: "modify_ldt", mask: INT, shift: 0, rows: &[(&[1, 0x11], "sz:user_desc:2 ulong"), (&[], "addr ulong")] },
    Choice { name: "membarrier", mask: 1, shift: 0, rows: &[(&[1], "int"), (&[], "")] },
    Choice { name: "landlock", mask: INT, shift: 0, rows: &[(&[1], "s:landlock_path hex32"), (&[], "addr hex32")] },
    Choice { name: "keyctl", mask: INT, shift: 0, rows: &[
        (&[0], "serial int"), (&[1], "text"), (&[2], "serial in:3 ulong"), (&[3, 7, 16, 21], "serial"),
        (&[4], "serial id id"), (&[5], "serial f:key_perm"), (&[6, 17], "serial outcounted ulong"),
        (&[8, 9], "serial serial"), (&[10], "serial text text serial"), (&[11], "serial out ulong"),
        (&[12], "serial in:3 ulong serial"), (&[13], "serial uint serial"), (&[14], "n:key_request"),
        (&[15], "serial uint"), (&[18], ""), (&[19], "serial uint n:errno serial"), (&[20], "serial iov:3 ulong serial"),
        (&[22], "id serial"), (&[23], "s:key_dh addr ulong addr"), (&[24], "serial addr text addr"),
        (&[25, 26, 27], "s:key_pkey text addr addr"), (&[28], "s:key_verify text addr addr"), (&[29], "serial text text"),
        (&[30], "serial serial serial f:key_move"), (&[31], "addr ulong"), (&[], "hex hex hex hex"),
    ] },
    Choice { name: "ptrace", mask: INT, shift: 0, rows: &[
        (&[0], ""), (&[7, 9, 0x11, 0x18, 0x1f, 0x20, 0x21], "int addr e:signal"),
        (&[8, 0x10, 0x4207, 0x4208], "int"), (&[0xc, 0xd, 0xe, 0xf], "int skip addr"),
        (&[0x15, 0x4200, 0x4206], "int addr fl:ptrace_options"), (&[0x4201], "int addr o:ulonghex"),
        (&[0x4202], "int addr o:siginfo"), (&[0x4203], "int addr s:siginfo"),
        (&[0x420a, 0x420b, 0x420c, 0x420d, 0x420e], "int ulong addr"), (&[], "int addr addr"),
    ] },
    Choice { name: "prctl", mask: INT, shift: 0, rows: &[
        (&[1], "e:signal"), (&[2], "o:signal"),
        (&[3, 7, 13, 21, 27, 30, 31, 32, 0x2e, 0x33, 0x40], ""), (&[4], "e:pr_dump"), (&[5, 9, 11, 19, 37], "o:int"),
        (&[6], "f:pr_unalign"), (&[8, 10, 12, 14, 20, 29, 36], "ulong"), (&[15], "threadname"), (&[16], "threadnameout"),
        (&[22], "e:pr_seccomp by:pr_seccomp"), (&[23, 24], "n:capability"), (&[25], "o:pr_tsc"), (&[26], "e:pr_tsc"),
        (&[28], "f:pr_securebits"), (&[33], "e:pr_mce by:pr_mce"), (&[35], "e:pr_mm hex hex hex"),
        (&[38, 41, 57], "ulong hex hex hex"), (&[40], "o:ulonghex"), (&[45], "f:pr_fp"),
        (&[47], "e:pr_ambient by:pr_ambient"), (&[50, 63], "n:pr_sve"), (&[52], "e:pr_spec"),
        (&[53], "e:pr_spec by:pr_spec"), (&[54], "f:pr_pac hex hex hex"), (&[60], "f:pr_pac f:pr_pac hex hex"),
        (&[55], "n:pr_tagged hex hex hex"), (&[59], "e:pr_dispatch hex hex addr"), (&[62], "e:pr_core int n:pid_type addr"),
        (&[0x5356_4d41], "e:pr_vma by:pr_vma"), (&[0x5961_6d61], "n:ptracer"), (&[], "hex hex hex hex"),
    ] },
    Choice { name: "pr_seccomp", mask: INT, shift: 0, rows: &[(&[1], ""), (&[2], "s:sock_fprog"), (&[], "hex hex hex")] },
    Choice { name: "pr_mce", mask: INT, shift: 0, rows: &[(&[1], "e:pr_mce_set hex hex"), (&[], "hex hex hex")] },
    Choice { name: "pr_ambient", mask: INT, shift: 0, rows: &[(&[1, 2, 3], "n:capability hex hex"), (&[], "hex hex hex")] },
    Choice { name: "pr_spec", mask: INT, shift: 0, rows: &[(&[0, 1, 2], "e:pr_spec_set"), (&[], "hex")] },
    Choice { name: "pr_vma", mask: INT, shift: 0, rows: &[(&[0], "addr ulong text"), (&[], "hex hex hex")] },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_row_is_understood_and_the_last_one_is_for_all_others() {
        for choice in CHOICES {
            let name = choice.name;
            assert!(choice.rows.last().is_some_and(|row| row.0.is_empty()), "{name}");
            for (numbers, words) in choice.rows {
                for word in words.split_ascii_whitespace() {
                    assert!(Kind::parse(word).is_some(), "{name} {numbers:?}: {word}");
                }
                for number in *numbers {
                    let first = choice.rows.iter().find(|row| row.0.contains(number)).map(|row| row.1);
                    assert_eq!(first, Some(*words), "{name}: {number} stands twice");
                    assert_eq!((number << choice.shift & choice.mask) >> choice.shift, *number, "{name}");
                }
            }
        }
    }
}

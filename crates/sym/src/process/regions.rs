//! Regions of memory: lines of `/proc/PID/maps` (proc_pid_maps(5)).

/// A region.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Region {
    /// First address.
    pub(crate) start: u64,
    /// Behind the last address.
    pub(crate) end: u64,
    /// The offset in the file of the first address.
    pub(crate) offset: u64,
    /// Whether it can be executed.
    pub(crate) executable: bool,
    /// Device of the file, as the kernel writes it.
    pub(crate) device: String,
    /// Inode of the file; 0 without one.
    pub(crate) inode: u64,
    /// A path, a name in brackets, or nothing.
    pub(crate) name: String,
    /// Whether the file has no name any more.
    pub(crate) deleted: bool,
}

impl Region {
    /// A line.
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let mut words = line.splitn(6, ' ');
        let mut word = || words.next();
        let (start, end) = word()?.split_once('-')?;
        let (flags, offset, device, inode) = (word()?, word()?, word()?, word()?);
        let name = words.next().unwrap_or_default().trim_start();
        let number = |text| u64::from_str_radix(text, 16).ok();
        let (name, deleted) = match name.strip_suffix(" (deleted)") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let (start, end) = (number(start)?, number(end)?);
        (start <= end).then_some(())?;
        Some(Self {
            start,
            end,
            offset: number(offset)?,
            executable: flags.contains('x'),
            device: device.to_owned(),
            inode: inode.parse().ok()?,
            name: name.to_owned(),
            deleted,
        })
    }

    /// The path of the file, if it is one.
    pub(crate) fn path(&self) -> Option<&str> {
        // Memory that is shared without a file has names like `/dev/zero (deleted)`, anonymous ones `//anon`.
        Some(self.name.as_str()).filter(|name| name.starts_with('/') && !name.starts_with("//"))
    }
}

//! TEMPORARY shim.
use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd};
use std::sync::Mutex;
use skep_isa::MapType;
use skep_object::MapSpec;
#[derive(Debug)]
pub struct SharedBytes { fd: OwnedFd, base: usize, len: usize }
impl SharedBytes {
    fn new(len: usize) -> Self {
        let len = len.next_multiple_of(4096);
        unsafe {
            let fd = libc::memfd_create(c"m".as_ptr(), 0);
            libc::ftruncate(fd, len as i64);
            let base = libc::mmap(std::ptr::null_mut(), len, 3, libc::MAP_SHARED, fd, 0) as usize;
            Self { fd: OwnedFd::from_raw_fd(fd), base, len }
        }
    }
    pub fn len(&self) -> usize { self.len }
    pub fn as_fd(&self) -> BorrowedFd<'_> { self.fd.as_fd() }
}
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Shape { pub key_size: u32, pub value_size: u32, pub max_entries: u32, pub flags: u32 }
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MapError { NotFound, Full, Unsupported(MapType) }
impl MapError { pub fn errno(self) -> i64 { -2 } }
impl std::fmt::Display for MapError { fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result { write!(f, "{self:?}") } }
#[derive(Debug)]
pub struct Map { kind: MapType, shape: Shape, values: SharedBytes, slots: Mutex<HashMap<Vec<u8>, u32>> }
impl Map {
    pub fn new(kind: MapType, shape: Shape) -> Result<Self, MapError> {
        let values = SharedBytes::new((shape.value_size.next_multiple_of(8) * shape.max_entries) as usize);
        Ok(Self { kind, shape, values, slots: Mutex::default() })
    }
    pub fn from_spec(s: &MapSpec) -> Result<Self, MapError> {
        let m = Self::new(s.map_type, Shape { key_size: s.key_size, value_size: s.value_size, max_entries: s.max_entries, flags: s.flags.0 })?;
        for (k, v) in &s.contents { m.update_on(k, v, 0, 0)?; }
        Ok(m)
    }
    pub fn shape(&self) -> Shape { self.shape }
    pub fn kind(&self) -> MapType { self.kind }
    pub fn values(&self) -> Option<&SharedBytes> { Some(&self.values) }
    pub fn is_writable_by_programs(&self) -> bool { true }
    fn stride(&self) -> u32 { self.shape.value_size.next_multiple_of(8) }
    pub fn value_stride(&self) -> u32 { self.stride() }
    pub fn value_range(&self, o: u32) -> Option<std::ops::Range<u32>> {
        let i = o / self.stride(); if i >= self.shape.max_entries { return None }
        Some(i * self.stride()..i * self.stride() + self.shape.value_size)
    }
    pub fn find(&self, key: &[u8], _cpu: u32) -> Option<u32> {
        if self.kind == MapType::Array { let i = u32::from_ne_bytes(key.try_into().ok()?); return (i < self.shape.max_entries).then(|| i * self.stride()) }
        self.slots.lock().unwrap().get(key).map(|i| i * self.stride())
    }
    pub fn update_on(&self, key: &[u8], value: &[u8], _flags: u64, _cpu: u32) -> Result<(), MapError> {
        let o = if self.kind == MapType::Array { self.find(key, 0).ok_or(MapError::Full)? } else {
            let mut s = self.slots.lock().unwrap(); let n = s.len() as u32; if n >= self.shape.max_entries && !s.contains_key(key) { return Err(MapError::Full) }
            *s.entry(key.to_vec()).or_insert(n) * self.stride() };
        unsafe { std::ptr::copy_nonoverlapping(value.as_ptr(), (self.values.base + o as usize) as *mut u8, value.len()) }; Ok(())
    }
    pub fn delete(&self, key: &[u8]) -> Result<(), MapError> { self.slots.lock().unwrap().remove(key).map(drop).ok_or(MapError::NotFound) }
    pub fn program_at(&self, _i: u32) -> Option<u32> { None }
}

//! Where the bytes of a blob are: owned, static, shared, or mapped by somebody else.

use std::fmt;
use std::sync::Arc;

/// Bytes that a [`Btf`](crate::Btf) reads from and shares with its clones.
///
/// The bytes must not change while they are read. If they do (somebody writes to a mapped file), answers are wrong or
/// errors, nothing worse.
#[derive(Clone)]
pub struct Source(Arc<dyn AsRef<[u8]> + Send + Sync>);

impl Source {
    /// Anything that holds bytes and keeps them alive, for example a memory map.
    pub fn new(bytes: impl AsRef<[u8]> + Send + Sync + 'static) -> Self {
        Self(Arc::new(bytes))
    }

    /// The bytes.
    pub fn bytes(&self) -> &[u8] {
        (*self.0).as_ref()
    }
}

impl From<Vec<u8>> for Source {
    fn from(bytes: Vec<u8>) -> Self {
        Self::new(bytes)
    }
}

impl From<&'static [u8]> for Source {
    fn from(bytes: &'static [u8]) -> Self {
        Self::new(bytes)
    }
}

impl From<Arc<dyn AsRef<[u8]> + Send + Sync>> for Source {
    fn from(bytes: Arc<dyn AsRef<[u8]> + Send + Sync>) -> Self {
        Self(bytes)
    }
}

impl fmt::Debug for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} bytes", self.bytes().len())
    }
}

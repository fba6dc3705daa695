//! A first look at payloads: the server name in a TLS ClientHello, and HTTP/1 start lines.
//!
//! One segment is looked at; nothing is reassembled. DNS is in [`crate::dns`].

use super::part::{Cut, Part};

/// What the beginning of a TLS ClientHello says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ClientHello<'a> {
    /// The legacy version field: 0x0303 for TLS 1.2 and 1.3.
    pub version: u16,
    /// The server name extension (RFC 6066), as sent; `None` if it is missing or beyond what was captured.
    pub server_name: Option<&'a [u8]>,
}

/// Decodes a TLS record with a ClientHello; `None` if the payload is something else.
#[must_use]
pub fn client_hello(payload: Part<'_>) -> Option<ClientHello<'_>> {
    // Record: handshake (22), version 3.x; message: client hello (1).
    if payload.u8(0) != Ok(22) || payload.u8(1) != Ok(3) || payload.u8(5) != Ok(1) {
        return None;
    }
    let version = payload.be16(9).ok()?;
    Some(ClientHello { version, server_name: server_name(payload).ok().flatten() })
}

/// Walks session id, cipher suites and compression methods (RFC 8446, 4.1.2) to the extensions.
fn server_name(payload: Part<'_>) -> Result<Option<&[u8]>, Cut> {
    let mut at = 5 + 4 + 2 + 32;
    at += 1 + usize::from(payload.u8(at)?);
    at += 2 + usize::from(payload.be16(at)?);
    at += 1 + usize::from(payload.u8(at)?);
    let end = at + 2 + usize::from(payload.be16(at)?);
    at += 2;
    while at + 4 <= end {
        let (kind, len) = (payload.be16(at)?, usize::from(payload.be16(at + 2)?));
        if kind == 0 {
            // A list of names with a type each; type 0 is a host name and the only one defined.
            if payload.u8(at + 6)? != 0 {
                return Ok(None);
            }
            let name_len = usize::from(payload.be16(at + 7)?);
            if name_len + 5 > len {
                return Ok(None);
            }
            return payload.bytes(at + 9, name_len).map(Some);
        }
        at += 4 + len;
    }
    Ok(None)
}

/// The request methods of HTTP/1 that are recognised (IANA, without the rarest), and the beginning of responses.
const HTTP_STARTS: [&[u8]; 16] = [
    b"GET ",
    b"POST ",
    b"HEAD ",
    b"PUT ",
    b"DELETE ",
    b"OPTIONS ",
    b"PATCH ",
    b"TRACE ",
    b"CONNECT ",
    b"PROPFIND ",
    b"MOVE ",
    b"COPY ",
    b"NOTIFY ",
    b"M-SEARCH ",
    b"HTTP/1.0 ",
    b"HTTP/1.1 ",
];

/// The first line of an HTTP/1 message without its line end; `None` if the payload does not begin with one.
#[must_use]
pub fn http_start(payload: &[u8]) -> Option<&[u8]> {
    // Longer lines exist, but no terminal shows them.
    const MOST: usize = 2048;
    if !HTTP_STARTS.iter().any(|start| payload.starts_with(start)) {
        return None;
    }
    let window = payload.get(..MOST).unwrap_or(payload);
    let end = window.iter().position(|&byte| byte == b'\n').unwrap_or(window.len());
    let line = &window[..end];
    Some(line.strip_suffix(b"\r").unwrap_or(line))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// A ClientHello with a server name, as a TLS record.
    pub(crate) fn hello(name: &str) -> Vec<u8> {
        let mut extensions = vec![0, 10, 0, 2, 0, 0];
        let list = (name.len() + 3) as u16;
        extensions.extend([0, 0]);
        extensions.extend((list + 2).to_be_bytes());
        extensions.extend(list.to_be_bytes());
        extensions.push(0);
        extensions.extend((name.len() as u16).to_be_bytes());
        extensions.extend(name.as_bytes());
        let mut body = vec![3, 3];
        body.extend([7; 32]);
        body.extend([0, 0, 2, 0x13, 1, 1, 0]);
        body.extend((extensions.len() as u16).to_be_bytes());
        body.extend(extensions);
        let mut record = vec![22, 3, 1];
        record.extend((body.len() as u16 + 4).to_be_bytes());
        record.extend([1, 0]);
        record.extend((body.len() as u16).to_be_bytes());
        record.extend(body);
        record
    }

    #[test]
    fn server_names_are_found() {
        let record = hello("www.example.com");
        let found = client_hello(Part::new(&record, record.len())).unwrap();
        assert_eq!((found.version, found.server_name), (0x303, Some(&b"www.example.com"[..])));
        for end in 11..record.len() {
            let cut = client_hello(Part::new(&record[..end], record.len())).unwrap();
            assert_eq!(cut.server_name, None, "{end}");
        }
        assert_eq!(client_hello(Part::new(b"\x17\x03\x03\x00\x05hello", 10)), None);
    }

    #[test]
    fn http_start_lines() {
        assert_eq!(http_start(b"GET /x HTTP/1.1\r\nHost: a\r\n"), Some(&b"GET /x HTTP/1.1"[..]));
        assert_eq!(http_start(b"HTTP/1.1 200 OK\n"), Some(&b"HTTP/1.1 200 OK"[..]));
        assert_eq!(http_start(b"GETTING"), None);
    }
}

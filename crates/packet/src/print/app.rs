//! Payloads of TCP connections: TLS server names, HTTP start lines, SSH banners, DNS messages.

use super::pen::{Pen, Written};
use crate::decode::Part;
use crate::decode::app;

/// Most characters of a banner or start line that are shown.
const MOST_TEXT: usize = 512;

impl Pen<'_> {
    /// The payload of a TCP segment. `http` and `ssh` tell that a port is known for them.
    pub(super) fn stream_payload(&mut self, payload: Part<'_>, http: bool, ssh: bool) -> Written {
        if let Some(line) = app::http_start(payload.data) {
            self.s(": HTTP: ");
            self.safe(line.get(..MOST_TEXT).unwrap_or(line));
            if !payload.data.contains(&b'\n') {
                self.s(" [|http]");
            }
        } else if http {
            self.s(": HTTP");
        } else if let Some(hello) = app::client_hello(payload) {
            self.s(": TLS ClientHello");
            if let Some(name) = hello.server_name {
                self.s(" ");
                self.safe(name);
            }
        } else if ssh && payload.data.starts_with(b"SSH-") {
            let line = payload.data.split(|byte| matches!(byte, b'\r' | b'\n')).next().unwrap_or_default();
            self.s(": SSH: ");
            self.safe(line.get(..MOST_TEXT).unwrap_or(line));
        }
        Ok(())
    }

    /// DNS messages in a TCP segment, each behind its length. Only the last may be incomplete.
    pub(super) fn dns_stream(&mut self, payload: Part<'_>) -> Written {
        let mut rest = payload;
        while rest.len > 0 {
            let Ok(length) = rest.be16(0) else { break };
            let length = usize::from(length);
            let body = rest.skip(2);
            if length < 12 || body.len < length {
                self.len(" [DNS message of ", length);
                self.len(" bytes, ", body.len);
                self.s(" here]");
                break;
            }
            self.s(" ");
            self.dns(body.limit(length), false)?;
            rest = body.skip(length);
        }
        Ok(())
    }
}

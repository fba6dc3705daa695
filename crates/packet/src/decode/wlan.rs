//! 802.11 frames up to the LLC payload, and the radio headers in front of them (radiotap, Prism, AVS, PPI).
//!
//! Management and control frames are named but not decoded further.

use super::link::{Mac, Next};
use super::part::{Cut, Part};
use skep_proto::LinkType;

/// An 802.11 header (IEEE 802.11-2020, 9.2.4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wlan {
    /// Frame control: type and subtype in the first byte, flags in the second (first byte is the low one).
    pub control: u16,
    /// Receiver.
    pub receiver: Mac,
    /// Transmitter, if the frame has one (not in CTS and ACK).
    pub transmitter: Option<Mac>,
    /// The third address, in data and management frames.
    pub third: Option<Mac>,
    /// The fourth address, in frames between access points.
    pub fourth: Option<Mac>,
    /// Length in bytes of the radio header before the frame; 0 if there was none.
    pub radio_len: usize,
}

impl Wlan {
    /// 0 management, 1 control, 2 data, 3 extension.
    #[must_use]
    pub fn kind(&self) -> u8 {
        (self.control >> 2 & 3) as u8
    }

    /// The subtype within the kind, 0 to 15.
    #[must_use]
    pub fn subtype(&self) -> u8 {
        (self.control >> 4 & 15) as u8
    }

    /// True if the payload is encrypted.
    #[must_use]
    pub fn protected(&self) -> bool {
        self.control & 0x4000 != 0
    }

    /// Final destination, as far as the addresses tell.
    #[must_use]
    pub fn destination(&self) -> Mac {
        let to_ds = self.control & 0x0100 != 0;
        if self.kind() == 2 && to_ds { self.third.unwrap_or(self.receiver) } else { self.receiver }
    }

    /// Original source, as far as the addresses tell.
    #[must_use]
    pub fn source(&self) -> Option<Mac> {
        let (to_ds, from_ds) = (self.control & 0x0100 != 0, self.control & 0x0200 != 0);
        match (self.kind() == 2 && from_ds, to_ds) {
            (false, _) => self.transmitter,
            (true, false) => self.third,
            (true, true) => self.fourth,
        }
    }

    /// A name for kind and subtype.
    #[must_use]
    pub fn name(&self) -> &'static str {
        // TABLE: subtypes of the four kinds (IEEE 802.11-2020, table 9-1).
        const MANAGEMENT: [&str; 16] = [
            "Assoc Request",
            "Assoc Response",
            "ReAssoc Request",
            "ReAssoc Response",
            "Probe Request",
            "Probe Response",
            "Timing Advertisement",
            "Management",
            "Beacon",
            "ATIM",
            "Disassociation",
            "Authentication",
            "DeAuthentication",
            "Action",
            "Action No Ack",
            "Management",
        ];
        const CONTROL: [&str; 16] = [
            "Control",
            "Control",
            "Trigger",
            "TACK",
            "Beamforming Report Poll",
            "NDP Announcement",
            "Control Extension",
            "Control Wrapper",
            "BAR",
            "BA",
            "Power Save-Poll",
            "Request-To-Send",
            "Clear-To-Send",
            "Acknowledgment",
            "CF-End",
            "CF-End+CF-Ack",
        ];
        const DATA: [&str; 16] = [
            "Data",
            "Data+CF-Ack",
            "Data+CF-Poll",
            "Data+CF-Ack+CF-Poll",
            "Null",
            "CF-Ack",
            "CF-Poll",
            "CF-Ack+CF-Poll",
            "QoS Data",
            "QoS Data+CF-Ack",
            "QoS Data+CF-Poll",
            "QoS Data+CF-Ack+CF-Poll",
            "QoS Null",
            "Data",
            "QoS CF-Poll",
            "QoS CF-Ack+CF-Poll",
        ];
        let row = usize::from(self.subtype());
        match self.kind() {
            0 => MANAGEMENT[row],
            1 => CONTROL[row],
            2 => DATA[row],
            _ => "Extension",
        }
    }
}

/// Decodes an 802.11 frame: the header, what follows, and the bytes that follow.
///
/// # Errors
/// [`Cut`] if the packet ends within the header.
pub fn parse(part: Part<'_>) -> Result<(Wlan, Next, Part<'_>), Cut> {
    let control = part.le16(0)?;
    let (kind, subtype) = (control >> 2 & 3, control >> 4 & 15);
    let mut head =
        Wlan { control, receiver: part.array(4)?, transmitter: None, third: None, fourth: None, radio_len: 0 };
    if kind == 1 {
        // CTS (12) and ACK (13) have one address; a block ack and all others have two.
        if !matches!(subtype, 12 | 13) {
            head.transmitter = Some(part.array(10)?);
        }
        return Ok((head, Next::Unknown, part.skip(if head.transmitter.is_some() { 16 } else { 10 })));
    }
    head.transmitter = Some(part.array(10)?);
    head.third = Some(part.array(16)?);
    let mut header = 24;
    if kind != 2 {
        return Ok((head, Next::Unknown, part.skip(header)));
    }
    if control & 0x0300 == 0x0300 {
        head.fourth = Some(part.array(24)?);
        header += 6;
    }
    if subtype & 8 != 0 {
        // QoS control, and HT control if the order bit says so.
        header += if control & 0x8000 != 0 { 6 } else { 2 };
    }
    part.bytes(0, header)?;
    let has_payload = subtype & 4 == 0;
    let next = if has_payload && !head.protected() { Next::Llc } else { Next::Unknown };
    Ok((head, next, part.skip(header)))
}

/// The same behind one of the radio headers.
///
/// # Errors
/// [`Cut`] if the packet ends within the headers.
pub fn parse_with_radio(link: LinkType, part: Part<'_>) -> Result<(Wlan, Next, Part<'_>), Cut> {
    let (radio_len, padded) = match link {
        // PRISM_HEADER captures may hold AVS headers; the magic number of AVS tells.
        LinkType::PRISM_HEADER if part.be32(0)? & 0xffff_f000 != 0x8021_1000 => (144, false),
        LinkType::PRISM_HEADER | LinkType::IEEE802_11_RADIO_AVS => {
            (usize::try_from(part.be32(4)?).unwrap_or(usize::MAX), false)
        }
        LinkType::PPI => (usize::from(part.le16(2)?), false),
        _ => (usize::from(part.le16(2)?), radiotap_padding(part)?),
    };
    if radio_len < 4 || radio_len > part.data.len() {
        return Err(Cut);
    }
    let (mut head, next, mut rest) = parse(part.skip(radio_len))?;
    head.radio_len = radio_len;
    let header = part.len.saturating_sub(radio_len).saturating_sub(rest.len);
    if padded && !header.is_multiple_of(4) {
        rest = rest.skip(2);
    }
    Ok((head, next, rest))
}

/// Radiotap flag 0x20: the 802.11 header is padded to a multiple of four bytes.
fn radiotap_padding(part: Part<'_>) -> Result<bool, Cut> {
    let present = u32::from_le_bytes(part.array(4)?);
    if present & 2 == 0 {
        return Ok(false);
    }
    let mut at = 8;
    let mut word = present;
    // Each presence word with the top bit is followed by another one.
    while word & 0x8000_0000 != 0 {
        word = u32::from_le_bytes(part.array(at)?);
        at += 4;
    }
    if present & 1 != 0 {
        // The time stamp comes first, aligned to eight bytes.
        at = at.next_multiple_of(8) + 8;
    }
    Ok(part.u8(at)? & 0x20 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn qos_data_behind_radiotap() {
        let mut frame = vec![0, 0, 9, 0, 2, 0, 0, 0, 0x20];
        frame.extend([0x88, 0x01, 0, 0]);
        frame.extend([1; 6]);
        frame.extend([2; 6]);
        frame.extend([3; 6]);
        frame.extend([0, 0, 5, 0]);
        frame.extend([0, 0]);
        frame.extend(b"\xaa\xaa\x03");
        let (head, next, rest) = parse_with_radio(LinkType::IEEE802_11_RADIO, Part::new(&frame, frame.len())).unwrap();
        assert_eq!((next, rest.data), (Next::Llc, &b"\xaa\xaa\x03"[..]));
        assert_eq!((head.name(), head.radio_len), ("QoS Data", 9));
        assert_eq!((head.destination(), head.source()), ([3; 6], Some([2; 6])));
        for end in 0..frame.len() - 5 {
            assert!(parse_with_radio(LinkType::IEEE802_11_RADIO, Part::new(&frame[..end], 99)).is_err(), "{end}");
        }
    }

    #[test]
    fn short_control_frames() {
        let ack = [0xd4, 0, 0, 0, 1, 2, 3, 4, 5, 6];
        let (head, _, rest) = parse(Part::new(&ack, 10)).unwrap();
        assert_eq!((head.name(), head.transmitter, rest.len), ("Acknowledgment", None, 0));
    }
}

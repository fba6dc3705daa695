//! IEEE 802.11 frames and the pseudo headers that capture drivers put before them.

use super::Forge;

impl Forge {
    /// A frame: 60 % data, the rest management, control and the reserved type.
    pub(super) fn wifi(&mut self) -> Vec<u8> {
        let kind = self.rng.weighted(&[25, 12, 60, 3]) as u8;
        let subtype = self.rng.below(16) as u8;
        let version = if self.rng.percent(97) { 0 } else { 1 };
        let mut flags = self.rng.below(4) as u8;
        if self.rng.percent(30) {
            flags |= self.rng.u8() & 0xfc;
        }
        let mut frame = vec![subtype << 4 | kind << 2 | version, flags, self.rng.u8(), self.rng.u8()];
        match kind {
            1 => {
                frame.extend(self.mac());
                if !matches!(subtype, 12 | 13) {
                    frame.extend(self.mac());
                }
                let count = self.rng.below(12);
                frame.extend(self.rng.bytes(count));
            }
            2 => self.wifi_data(&mut frame, subtype, flags),
            _ => {
                for _ in 0..3 {
                    frame.extend(self.mac());
                }
                frame.extend(self.rng.bytes(30));
            }
        }
        frame
    }

    fn wifi_data(&mut self, frame: &mut Vec<u8>, subtype: u8, flags: u8) {
        for _ in 0..3 {
            frame.extend(self.mac());
        }
        frame.extend(self.rng.bytes(2));
        if flags & 3 == 3 {
            frame.extend(self.mac());
        }
        if subtype & 8 != 0 {
            frame.extend(self.rng.bytes(2));
        }
        // Subtypes with bit 2 set carry no data.
        if subtype & 4 == 0 || self.rng.percent(10) {
            let body = self.llc(1);
            frame.extend(body);
        }
    }

    /// Radiotap: little-endian length at 2, presence bits at 4, flags with the padding bit among the fields.
    pub(super) fn radiotap(&mut self) -> Vec<u8> {
        let present: u32 = self.rng.pick(&[0, 1, 2, 3, 0x0e, 0x2f, 0x0000_482f, 0x8000_0003]);
        let length =
            if self.rng.percent(95) { self.rng.pick(&[8, 9, 16, 17, 18, 24, 26, 36]) } else { self.rng.below(64) };
        let mut header = vec![0, 0];
        header.extend((length as u16).to_le_bytes());
        header.extend(present.to_le_bytes());
        for _ in 8..length {
            header.push(self.rng.pick(&[0, 0x10, 0x20, 0x30, 0x02, 0xff]));
        }
        header.extend(self.wifi());
        header
    }

    /// The Prism header is 144 bytes, unless it says that it is an AVS header after all.
    pub(super) fn prism(&mut self) -> Vec<u8> {
        if self.rng.percent(40) {
            return self.avs();
        }
        let mut header = vec![0, 0, 0, 0x44, 0, 0, 0, 144];
        header.extend(self.rng.bytes(136));
        header.extend(self.wifi());
        header
    }

    pub(super) fn avs(&mut self) -> Vec<u8> {
        let length = self.rng.pick(&[64, 64, 64, 32, 100]);
        let mut header = vec![0x80, 0x21, 0x10, self.rng.pick(&[1, 1, 2])];
        header.extend((length as u32).to_be_bytes());
        header.extend(self.rng.bytes(length - 8));
        header.extend(self.wifi());
        header
    }

    /// Per-packet information: little-endian length at 2, the link type of the rest at 4 (105: 802.11).
    pub(super) fn ppi(&mut self) -> Vec<u8> {
        let length = self.rng.pick(&[8, 32, 32, 84]);
        let dlt: u32 = if self.rng.percent(90) { 105 } else { 1 };
        let mut header = vec![0, 0];
        header.extend((length as u16).to_le_bytes());
        header.extend(dlt.to_le_bytes());
        header.extend(self.rng.bytes(length - 8));
        header.extend(self.wifi());
        header
    }
}

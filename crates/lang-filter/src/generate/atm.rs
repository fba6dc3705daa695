//! ATM circuits (SunATM captures) and SS7 signal units.

use skep_isa::classic::{AluOp, Size};
use skep_proto::LinkType;

use super::layout::Layout;
use super::{Gen, Generator, Off, Refusal, Rel};
use crate::ast::{AtmField, AtmType, Mtp2Type, Mtp3Field, RelOp};
use crate::formula::FId;
use crate::ranges::RangeSet;

/// Q.2931 message types of connections: set-up, call proceeding, connect, acknowledge, release, release done.
const CONNECT_MESSAGES: [u32; 6] = [0x05, 0x02, 0x07, 0x0f, 0x4d, 0x5a];
/// The same on the meta signalling circuit, which does not acknowledge.
const META_MESSAGES: [u32; 5] = [0x05, 0x02, 0x07, 0x4d, 0x5a];

impl Generator<'_> {
    fn only_sunatm(&self, word: &str) -> Gen<()> {
        if self.options.link == LinkType::SUNATM {
            return Ok(());
        }
        Err(Refusal::new(format!("'{word}' supported only on raw ATM, not on {}", self.link_name())))
    }

    /// `lane`, `metac` and so on
    pub(super) fn atm(&mut self, kind: AtmType) -> Gen<FId> {
        self.only_sunatm("ATM word")?;
        let circuit = |this: &mut Self, vci: &[u32]| {
            let vpi = this.field(Rel::Packet, 1, Size::Byte, 0)?;
            let value = this.load(Rel::Packet, 2, Size::Half)?;
            let vci = this.member(value, &RangeSet::from_ranges(vci.iter().map(|&v| (v, v)).collect()));
            Ok(this.and(&[vpi, vci]))
        };
        match kind {
            AtmType::Metac => circuit(self, &[1]),
            AtmType::Bcc => circuit(self, &[2]),
            AtmType::Oamf4sc => circuit(self, &[3]),
            AtmType::Oamf4ec => circuit(self, &[4]),
            AtmType::Oam | AtmType::Oamf4 => circuit(self, &[3, 4]),
            AtmType::Sc => circuit(self, &[5]),
            AtmType::Ilmic => circuit(self, &[16]),
            AtmType::Llc => self.masked(Rel::Packet, 0, Size::Byte, 2, 0x0f),
            AtmType::Connectmsg | AtmType::Metaconnect => {
                let meta = kind == AtmType::Metaconnect;
                let circuit = circuit(self, if meta { &[1] } else { &[5] })?;
                let messages: &[u32] = if meta { &META_MESSAGES } else { &CONNECT_MESSAGES };
                let value = self.load(Rel::Packet, 9, Size::Byte)?;
                let set = RangeSet::from_ranges(messages.iter().map(|&m| (m, m)).collect());
                let message = self.member(value, &set);
                Ok(self.and(&[circuit, message]))
            }
            AtmType::Lane => {
                let lane = self.masked(Rel::Packet, 0, Size::Byte, 1, 0x0f)?;
                // An Ethernet header follows the two-byte LAN emulation header.
                let off = |k| Off { var: None, k };
                self.link = Layout::of(LinkType::EN10MB);
                self.header = off(6);
                self.protocol = Some(off(18));
                self.payload = Some(off(20));
                self.network = 0;
                self.network_no_snap = 3;
                self.lane = true;
                Ok(lane)
            }
        }
    }

    /// `vpi`, `vci` with relation
    pub(super) fn atm_field(&mut self, field: AtmField, op: RelOp, n: u32) -> Gen<FId> {
        self.only_sunatm(if field == AtmField::Vpi { "vpi" } else { "vci" })?;
        let value = match field {
            AtmField::Vpi => self.values.abs(Size::Byte, 1),
            AtmField::Vci => self.values.abs(Size::Half, 2),
        };
        let (op, left) = (op, value);
        Ok(self.member(left, &super::arith::number_set(op, n)))
    }

    /// Where the length indicator stands, and what comes before the usual header.
    fn mtp2_start(&self, word: &str) -> Gen<u32> {
        match self.options.link {
            LinkType::MTP2 => Ok(0),
            LinkType::MTP2_WITH_PHDR => Ok(4),
            LinkType::ERF => Ok(20),
            _ => Err(Refusal::new(format!("'{word}' supported only on MTP2, not on {}", self.link_name()))),
        }
    }

    /// `fisu`, `lssu`, `msu` and their high-speed forms
    pub(super) fn mtp2(&mut self, kind: Mtp2Type) -> Gen<FId> {
        let start = self.mtp2_start("SS7 word")?;
        let high = matches!(kind, Mtp2Type::Hfisu | Mtp2Type::Hlssu | Mtp2Type::Hmsu);
        let length = if high {
            let value = self.values.abs(Size::Half, start + 4);
            self.values.bin_k(AluOp::And, value, 0xff80)
        } else {
            let value = self.values.abs(Size::Byte, start + 2);
            self.values.bin_k(AluOp::And, value, 0x3f)
        };
        // The length indicator is 0 in fill-in, 1 or 2 in link status and more in message signal units.
        let two = if high { 0x100 } else { 2 };
        let set = match kind {
            Mtp2Type::Fisu | Mtp2Type::Hfisu => RangeSet::single(0),
            Mtp2Type::Lssu | Mtp2Type::Hlssu => RangeSet::range(1, two),
            Mtp2Type::Msu | Mtp2Type::Hmsu => RangeSet::range(two + 1, u32::MAX),
        };
        Ok(self.member(length, &set))
    }

    /// `sio`, `opc`, `dpc`, `sls` and their high-speed forms, with relation
    pub(super) fn mtp3(&mut self, field: Mtp3Field, op: RelOp, n: u32) -> Gen<FId> {
        let start = self.mtp2_start("SS7 word")?;
        let high = matches!(field, Mtp3Field::Hsio | Mtp3Field::Hopc | Mtp3Field::Hdpc | Mtp3Field::Hsls);
        let shift = start + if high { 3 } else { 0 };
        let limit = |max: u32, what: &str| {
            if n > max { Err(Refusal::new(format!("{what} value {n} too big; max value = {max}"))) } else { Ok(()) }
        };
        // Point codes are 14 bits, stored from the low end across byte boundaries.
        let (size, offset, mask, k) = match field {
            Mtp3Field::Sio | Mtp3Field::Hsio => {
                limit(255, "sio")?;
                (Size::Byte, 3, 0xff, n)
            }
            Mtp3Field::Opc | Mtp3Field::Hopc => {
                limit(16383, "opc")?;
                (Size::Word, 4, 0x00c0_ff0f, (n & 0x3c00) >> 10 | (n & 0x03fc) << 6 | (n & 0x0003) << 22)
            }
            Mtp3Field::Dpc | Mtp3Field::Hdpc => {
                limit(16383, "dpc")?;
                (Size::Word, 4, 0xff3f_0000, (n & 0x00ff) << 24 | (n & 0x3f00) << 8)
            }
            Mtp3Field::Sls | Mtp3Field::Hsls => {
                limit(15, "sls")?;
                (Size::Byte, 7, 0xf0, n << 4)
            }
        };
        let value = self.values.abs(size, shift + offset);
        let value = self.values.bin_k(AluOp::And, value, mask);
        Ok(self.member(value, &super::arith::number_set(op, k)))
    }
}

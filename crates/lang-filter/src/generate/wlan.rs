//! Link-layer headers of variable length: 802.11 with and without radio information, and pf logs.
//!
//! Their lengths are computed first of all, into memory words, if any offset that depends on them is used.

use skep_isa::classic::{AluOp, Size};
use skep_proto::LinkType;

use super::layout::TypeTest;
use super::{Gen, Generator, Off, Refusal, Rel};
use crate::ast::Dir;
use crate::formula::{FId, Formula};
use crate::value::{Val, ValId, Var};

impl Generator<'_> {
    /// Sets the variable offsets up and notes how they are computed.
    pub(super) fn init_variable_headers(&mut self) {
        match self.link.link {
            LinkType::PFLOG => {
                // The length byte, rounded up to a multiple of four.
                let length = self.values.abs(Size::Byte, 0);
                let padded = self.values.bin_k(AluOp::Add, length, 3);
                let padded = self.values.bin_k(AluOp::And, padded, !3);
                let var = Var(self.vars);
                self.vars += 1;
                let set = self.set(var, padded);
                self.prelude.push(set);
                let var = self.values.var(var);
                self.payload = Some(Off { var: Some(var), k: 0 });
            }
            _ if self.link.is_wlan() => self.init_wlan(),
            _ => {}
        }
    }

    fn init_wlan(&mut self) {
        if self.options.link == LinkType::PPI {
            // PPI says which link type follows: 802.11 is 105, little-endian. No filter accepts another.
            let dlt = self.values.abs(Size::Word, 4);
            self.required = self.equals(dlt, 0x6900_0000);
        }
        let radio = self.has_radio_header().then(|| {
            let var = Var(self.vars);
            self.vars += 1;
            let set = self.radio_length(var);
            self.prelude.push(set);
            self.values.var(var)
        });
        self.header = Off { var: radio, k: 0 };
        let var = Var(self.vars);
        self.vars += 1;
        let set = self.frame_length(var);
        self.prelude.push(set);
        let var = self.values.var(var);
        self.payload = Some(Off { var: Some(var), k: 0 });
        self.protocol = Some(Off { var: Some(var), k: 0 });
    }

    /// Whether the packets begin with information about the reception.
    pub(super) fn has_radio_header(&self) -> bool {
        self.options.link != LinkType::IEEE802_11 && super::layout::Layout::of(self.options.link).is_wlan()
    }

    fn radio_length(&mut self, var: Var) -> FId {
        match self.options.link {
            LinkType::IEEE802_11_RADIO_AVS => {
                let length = self.values.abs(Size::Word, 4);
                self.set(var, length)
            }
            LinkType::PRISM_HEADER => {
                // The same link type also carries AVS headers, which begin with a magic number.
                let magic = self.values.abs(Size::Word, 0);
                let magic = self.values.bin_k(AluOp::And, magic, 0xffff_f000);
                let avs = self.equals(magic, 0x8021_1000);
                let length = self.values.abs(Size::Word, 4);
                let avs = [avs, self.set(var, length)];
                let avs = self.and(&avs);
                let fixed = self.values.constant(144);
                let prism = self.set(var, fixed);
                self.or(&[avs, prism])
            }
            _ => {
                let high = self.values.abs(Size::Byte, 3);
                let high = self.values.bin_k(AluOp::Lsh, high, 8);
                let low = self.values.abs(Size::Byte, 2);
                let length = self.values.bin(AluOp::Or, low, high);
                self.set(var, length)
            }
        }
    }

    /// The start of the LLC header: 24 bytes of 802.11 header, two more with quality of service, in data frames padded
    /// to a multiple of four if the radiotap flags say so.
    fn frame_length(&mut self, var: Var) -> FId {
        let base = self.header.var;
        let control = self.values.load(Size::Byte, base, 0);
        let plus = |this: &mut Self, n: u32| match base {
            Some(base) => this.values.bin_k(AluOp::Add, base, n),
            None => this.values.constant(n),
        };
        let (plain, qos) = (plus(self, 24), plus(self, 26));
        let qos_bits = self.values.bin_k(AluOp::And, control, 0x8c);
        let is_qos = self.equals(qos_bits, 0x88);
        let with_qos = [is_qos, self.set(var, qos)];
        let with_qos = self.and(&with_qos);
        let without = self.set(var, plain);
        let length = self.or(&[with_qos, without]);
        if self.options.link != LinkType::IEEE802_11_RADIO {
            return length;
        }
        let data_bits = self.values.bin_k(AluOp::And, control, 0x0c);
        let is_data = self.equals(data_bits, 0x08);
        let padded = self.padded_frame();
        let current = self.values.var(var);
        let rounded = self.values.bin_k(AluOp::Add, current, 3);
        let rounded = self.values.bin_k(AluOp::And, rounded, !3);
        let round = self.set(var, rounded);
        let condition = self.and(&[is_data, padded]);
        let round = self.when(condition, round);
        self.and(&[length, round])
    }

    /// The radiotap header has a flags field and its "data pad" bit is set.
    fn padded_frame(&mut self) -> FId {
        let present = self.values.abs(Size::Word, 4);
        let bit = |this: &mut Self, value: ValId, mask: u32| {
            let masked = this.values.bin_k(AluOp::And, value, mask);
            let zero = this.equals(masked, 0);
            this.formulas.not(zero)
        };
        let has_flags = bit(self, present, 0x0200_0000);
        let extended = bit(self, present, 0x0000_0080);
        let single = self.formulas.not(extended);
        let has_time = bit(self, present, 0x0100_0000);
        let early = self.values.abs(Size::Byte, 8);
        let late = self.values.abs(Size::Byte, 16);
        let (early, late) = (bit(self, early, 0x20), bit(self, late, 0x20));
        let no_time = self.formulas.not(has_time);
        let behind_time = self.and(&[has_time, late]);
        let at_front = self.and(&[no_time, early]);
        let flag = self.or(&[behind_time, at_front]);
        self.and(&[has_flags, single, flag])
    }

    /// The parts of the prelude whose memory words the formula reads.
    pub(super) fn used_prelude(&mut self, root: FId) -> Vec<FId> {
        let mut used = [false; 256];
        let mut seen = std::collections::HashSet::new();
        let mut stack = vec![root];
        let mut values = Vec::new();
        let mut kept = Vec::new();
        for &part in self.prelude.iter().rev() {
            while let Some(f) = stack.pop() {
                if !seen.insert(f) {
                    continue;
                }
                match self.formulas.get(f) {
                    Formula::True | Formula::False => {}
                    Formula::In(v, _) | Formula::Need(v) | Formula::Set(_, v) => values.push(*v),
                    Formula::Cmp(_, a, b) => values.extend([*a, *b]),
                    Formula::Not(a) => stack.push(*a),
                    Formula::And(list) | Formula::Or(list) => stack.extend(list.iter().copied()),
                    Formula::Switch(v, cases) => {
                        values.push(*v);
                        stack.extend(cases.iter().map(|(_, f)| *f));
                    }
                }
            }
            for v in values.drain(..) {
                self.values.walk(v, &mut |_, val| {
                    if let Val::Var(var) = val {
                        used[usize::from(var.0)] = true;
                    }
                });
            }
            if self.sets_of(part).iter().any(|var| used[usize::from(var.0)]) {
                kept.push(part);
                stack.push(part);
            }
        }
        kept.reverse();
        kept
    }

    fn sets_of(&self, formula: FId) -> Vec<Var> {
        match self.formulas.get(formula) {
            Formula::Set(var, _) => vec![*var],
            Formula::Not(a) => self.sets_of(*a),
            Formula::And(list) | Formula::Or(list) => list.iter().flat_map(|&f| self.sets_of(f)).collect(),
            Formula::Switch(_, cases) => cases.iter().flat_map(|(_, f)| self.sets_of(*f)).collect(),
            _ => Vec::new(),
        }
    }

    /// The frame is a data frame.
    pub(super) fn wlan_data_frame(&mut self) -> Gen<FId> {
        self.masked(Rel::Link, 0, Size::Byte, 0x08, 0x0c)
    }

    pub(super) fn wlan_control(&mut self, offset: u32, value: u32, mask: u32, word: &str) -> Gen<FId> {
        if self.link.test != TypeTest::Wlan {
            return Err(Refusal::new(format!("'{word}' not supported on {}: it is an 802.11 word", self.link_name())));
        }
        self.masked(Rel::Link, offset, Size::Byte, value, mask)
    }

    /// A frame's final destination is a group.
    pub(super) fn wlan_multicast(&mut self) -> Gen<FId> {
        self.wlan_destination(&mut |this, at| this.bit(Rel::Link, at, 1))
    }

    /// `wlan [dir] host MAC`
    pub(super) fn wlan_host(&mut self, dir: Dir, mac: [u8; 6]) -> Gen<FId> {
        let kind = |this: &mut Self, value: u32, mask: u32| this.masked(Rel::Link, 0, Size::Byte, value, mask);
        match dir {
            Dir::Addr1 => self.bytes(Rel::Link, 4, &mac),
            Dir::Addr2 => {
                let has = self.has_second_address()?;
                let host = self.bytes(Rel::Link, 10, &mac)?;
                Ok(self.and(&[has, host]))
            }
            Dir::Addr3 => {
                let control = kind(self, 0x04, 0x0c)?;
                let other = self.formulas.not(control);
                let host = self.bytes(Rel::Link, 16, &mac)?;
                Ok(self.and(&[other, host]))
            }
            Dir::Addr4 => {
                let both = self.masked(Rel::Link, 1, Size::Byte, 3, 3)?;
                let host = self.bytes(Rel::Link, 24, &mac)?;
                Ok(self.and(&[both, host]))
            }
            Dir::Ra => {
                // Management frames have a destination, not a receiver.
                let data = self.bit(Rel::Link, 0, 0x08)?;
                let host = self.bytes(Rel::Link, 4, &mac)?;
                Ok(self.and(&[data, host]))
            }
            Dir::Ta => {
                let data = self.bit(Rel::Link, 0, 0x08)?;
                let has = self.has_second_address()?;
                let host = self.bytes(Rel::Link, 10, &mac)?;
                Ok(self.and(&[data, has, host]))
            }
            Dir::Src => self.wlan_source(mac),
            Dir::Dst => self.wlan_destination(&mut |this, at| this.bytes(Rel::Link, at, &mac)),
            Dir::SrcAndDst => {
                let src = self.wlan_host(Dir::Src, mac)?;
                let dst = self.wlan_host(Dir::Dst, mac)?;
                Ok(self.and(&[src, dst]))
            }
            Dir::Default | Dir::SrcOrDst => {
                let src = self.wlan_host(Dir::Src, mac)?;
                let dst = self.wlan_host(Dir::Dst, mac)?;
                Ok(self.or(&[src, dst]))
            }
        }
    }

    /// All but the control frames "clear to send" and "acknowledgement" have a second address.
    fn has_second_address(&mut self) -> Gen<FId> {
        let control = self.masked(Rel::Link, 0, Size::Byte, 0x04, 0x0c)?;
        let other = self.formulas.not(control);
        let cts = self.masked(Rel::Link, 0, Size::Byte, 0xc0, 0xf0)?;
        let ack = self.masked(Rel::Link, 0, Size::Byte, 0xd0, 0xf0)?;
        let either = self.or(&[cts, ack]);
        let long = self.formulas.not(either);
        Ok(self.or(&[other, long]))
    }

    /// No control frame; a management frame with `test` at 10, or a data frame with it where the direction bits say.
    fn wlan_source(&mut self, mac: [u8; 6]) -> Gen<FId> {
        let (to, from) = (self.bit(Rel::Link, 1, 1)?, self.bit(Rel::Link, 1, 2)?);
        let (not_to, not_from) = (self.formulas.not(to), self.formulas.not(from));
        let [at10, at16, at24] = [10, 16, 24].map(|at| self.bytes(Rel::Link, at, &mac));
        let (at10, at16, at24) = (at10?, at16?, at24?);
        let direct = self.and(&[not_from, at10]);
        let from_distribution = self.and(&[not_to, at16]);
        let bridged = self.and(&[to, at24]);
        let relayed = self.or(&[from_distribution, bridged]);
        let relayed = self.and(&[from, relayed]);
        let data = self.or(&[direct, relayed]);
        self.management_or_data(at10, data)
    }

    fn wlan_destination(&mut self, test: &mut dyn FnMut(&mut Self, u32) -> Gen<FId>) -> Gen<FId> {
        let to = self.bit(Rel::Link, 1, 1)?;
        let not_to = self.formulas.not(to);
        let at4 = test(self, 4)?;
        let at16 = test(self, 16)?;
        let direct = self.and(&[not_to, at4]);
        let relayed = self.and(&[to, at16]);
        let data = self.or(&[direct, relayed]);
        self.management_or_data(at4, data)
    }

    fn management_or_data(&mut self, management: FId, data: FId) -> Gen<FId> {
        let control = self.bit(Rel::Link, 0, 0x04)?;
        let not_control = self.formulas.not(control);
        let is_data = self.bit(Rel::Link, 0, 0x08)?;
        let is_management = self.formulas.not(is_data);
        let management = self.and(&[is_management, management]);
        let data = self.and(&[is_data, data]);
        let either = self.or(&[management, data]);
        Ok(self.and(&[not_control, either]))
    }
}

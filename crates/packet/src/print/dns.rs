//! DNS messages on one line, in tcpdump's notation: `1234+ A? example.com. (29)`.

use super::pen::{Pen, Written};
use crate::decode::{Cut, Part};
use crate::dns::rdata::write_strings;
use crate::dns::types::type_name;
use crate::dns::{Message, Name, Question, RData, Record, Section, rtype};

// TABLE: operations and response codes as tcpdump writes them, with the blank before.
const OPERATIONS: [&str; 16] = [
    "",
    " inv_q",
    " stat",
    " op3",
    " notify",
    " update",
    " op6",
    " op7",
    " op8",
    " updateA",
    " updateD",
    " updateDA",
    " updateM",
    " updateMA",
    " zoneInit",
    " zoneRef",
];
const RESPONSES: [&str; 16] = [
    "",
    " FormErr",
    " ServFail",
    " NXDomain",
    " NotImp",
    " Refused",
    " YXDomain",
    " YXRRSet",
    " NXRRSet",
    " NotAuth",
    " NotZone",
    " Resp11",
    " Resp12",
    " Resp13",
    " Resp14",
    " NoChange",
];

impl Pen<'_> {
    /// One message. `multicast` tells that the top bits of classes have the meaning of multicast DNS.
    pub(super) fn dns(&mut self, part: Part<'_>, multicast: bool) -> Written {
        self.layer = "domain";
        if part.len < 12 {
            self.len("domain [length ", part.len);
            self.s(" < 12] (invalid)");
            return Ok(());
        }
        let message = Message::parse(part.data).map_err(|_| Cut)?;
        let [questions, answers, authority, additional] = message.counts();
        self.sd("", message.id());
        self.s(OPERATIONS[usize::from(message.opcode())]);
        if message.is_response() {
            self.dns_response_head(&message);
            self.dns_sections(&message, multicast)?;
        } else {
            self.s(if message.recursion_desired() { "+" } else { "" });
            self.s(if message.flags() & 0x10 != 0 { "%" } else { "" });
            let odd = message.flags() & 0x06cf;
            if odd != 0 {
                self.sx(" [b2&3=", message.flags());
                self.s("]");
            }
            let inverse = message.opcode() == 1;
            let counts = [
                (inverse && questions > 0, questions, "q]"),
                (if inverse { answers != 1 } else { answers > 0 }, answers, "a]"),
                (!inverse && questions != 1, questions, "q]"),
                (authority > 0, authority, "n]"),
                (additional > 0, additional, "au]"),
            ];
            for (_, count, unit) in counts.into_iter().filter(|(odd, ..)| *odd) {
                self.sd(" [", count);
                self.s(unit);
            }
            for question in message.questions() {
                self.dns_question(&question.map_err(|_| Cut)?, multicast);
            }
            if self.opts.verbose > 1 {
                self.dns_records(
                    &message,
                    &[(Section::Answer, ""), (Section::Authority, " ns:"), (Section::Additional, " ar:")],
                    multicast,
                )?;
            }
        }
        self.len(" (", part.len);
        self.s(")");
        Ok(())
    }

    fn dns_response_head(&mut self, message: &Message<'_>) {
        let flags = message.flags();
        self.s(RESPONSES[usize::from(message.header_rcode())]);
        self.s(if message.is_authoritative() { "*" } else { "" });
        self.s(if message.recursion_available() { "" } else { "-" });
        self.s(if message.is_truncated() { "|" } else { "" });
        self.s(if flags & 0x20 != 0 { "$" } else { "" });
        let questions = message.counts()[0];
        if questions != 1 {
            self.sd(" [", questions);
            self.s("q]");
        }
    }

    fn dns_sections(&mut self, message: &Message<'_>, multicast: bool) -> Written {
        let [_, answers, authority, additional] = message.counts();
        for (index, question) in message.questions().enumerate() {
            let question = question.map_err(|_| Cut)?;
            self.s(if index > 0 { "," } else { "" });
            if self.opts.verbose > 1 {
                self.s(" q:");
                self.dns_question(&question, multicast);
            }
        }
        self.sd(" ", answers);
        self.sd("/", authority);
        self.sd("/", additional);
        if self.opts.verbose > 1 {
            let all = [(Section::Answer, ""), (Section::Authority, " ns:"), (Section::Additional, " ar:")];
            self.dns_records(message, &all, multicast)
        } else {
            self.dns_records(message, &[(Section::Answer, "")], multicast)
        }
    }

    fn dns_records(&mut self, message: &Message<'_>, sections: &[(Section, &str)], multicast: bool) -> Written {
        let mut last = None;
        for record in message.records() {
            let record = record.map_err(|_| Cut)?;
            let Some((_, title)) = sections.iter().find(|(section, _)| *section == record.section) else {
                // Sections come in order: what is asked for comes first.
                break;
            };
            self.s(if last == Some(record.section) { "," } else { title });
            last = Some(record.section);
            self.dns_record(&record, multicast)?;
        }
        Ok(())
    }

    fn dns_question(&mut self, question: &Question<'_>, multicast: bool) {
        self.s(" ");
        self.dns_type(question.rtype);
        if multicast {
            self.s(if question.class & 0x8000 != 0 { " (QU)" } else { " (QM)" });
        }
        self.dns_class(if multicast { question.class & 0x7fff } else { question.class });
        self.s("? ");
        self.dns_name(&question.name);
    }

    fn dns_type(&mut self, kind: u16) {
        match type_name(kind) {
            Some(name) => self.s(name),
            None => self.sd("Type", kind),
        }
    }

    fn dns_class(&mut self, class: u16) {
        match class {
            1 => {}
            3 => self.s(" CHAOS"),
            4 => self.s(" HS"),
            255 => self.s(" ANY"),
            other => {
                self.sd(" (Class ", other);
                self.s(")");
            }
        }
    }

    /// A name with a dot after every label.
    fn dns_name(&mut self, name: &Name<'_>) {
        for label in name.labels() {
            self.safe(label);
            self.s(".");
        }
        if name.is_root() {
            self.s(".");
        }
    }

    fn dns_record(&mut self, record: &Record<'_>, multicast: bool) -> Written {
        if self.opts.verbose > 0 {
            self.s(" ");
            self.dns_name(&record.name);
        }
        if multicast && record.class & 0x8000 != 0 && record.rtype != rtype::OPT {
            self.s(" (Cache flush)");
        }
        if record.rtype != rtype::OPT {
            self.dns_class(if multicast { record.class & 0x7fff } else { record.class });
            if self.opts.verbose > 2 {
                self.s(" [");
                self.duration(record.ttl);
                self.s("]");
            }
        }
        self.s(" ");
        self.dns_type(record.rtype);
        let data = record.data().map_err(|_| Cut)?;
        self.dns_data(record, &data);
        Ok(())
    }

    fn dns_data(&mut self, record: &Record<'_>, data: &RData<'_>) {
        match data {
            RData::Name(name) => {
                self.s(" ");
                self.dns_name(name);
            }
            RData::Mx { preference, host } => {
                self.s(" ");
                self.dns_name(host);
                self.sd(" ", *preference);
            }
            RData::Srv { priority, weight, port, target } => {
                self.s(" ");
                self.dns_name(target);
                self.sd(":", *port);
                self.sd(" ", *priority);
                self.sd(" ", *weight);
            }
            RData::Text(strings) => {
                self.s(" ");
                write_strings(self.out, strings);
            }
            RData::Soa { .. } if self.opts.verbose == 0 => {}
            RData::Soa { primary, mailbox, serial, refresh, retry, expire, minimum } => {
                for name in [primary, mailbox] {
                    self.s(" ");
                    self.dns_name(name);
                }
                for number in [serial, refresh, retry, expire, minimum] {
                    self.sd(" ", *number);
                }
            }
            RData::Opt(_) => {
                self.sd(" UDPsize=", record.class);
                self.s(if record.ttl & 0x8000 != 0 { " DO" } else { "" });
            }
            RData::Other(_) => {}
            _ => {
                self.s(" ");
                data.write(self.out);
            }
        }
    }

    /// Seconds as weeks, days, hours, minutes and seconds.
    fn duration(&mut self, seconds: u32) {
        if seconds == 0 {
            return self.s("0s");
        }
        let mut rest = seconds;
        for (unit, length) in [("w", 604_800), ("d", 86_400), ("h", 3600), ("m", 60), ("s", 1)] {
            if rest >= length {
                self.sd("", rest / length);
                self.s(unit);
                rest %= length;
            }
        }
    }
}

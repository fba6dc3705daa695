//! Conditions that are not in the tables: expressions, hours, owners; and addresses of the link.

use std::net::{IpAddr, SocketAddr};
use std::ops::RangeInclusive;

use super::super::special::{Condition, Expression, Hours, NOBODY};
use super::super::{Matches, Translation, words};
use super::{Line, Parsed, fail, numeral};

impl Line<'_> {
    /// Adds what stands behind one of the words `match`, `between`, `uid`, `cgroup`, `service` and `out-on`.
    pub(super) fn special(&mut self, word: &str, matches: &mut Matches) -> Parsed<()> {
        let place = self.pieces[self.at - 1].span;
        let condition = match word {
            "match" => {
                let (text, span) = self.text("an expression of pcap-filter")?;
                Condition::Expression(Expression::new(&text).or_else(|problem| fail(span, problem))?)
            }
            "between" => Condition::Hours(self.hours()?),
            "uid" => Condition::Users(self.list(Self::users)?),
            "out-on" => Condition::Leaves(self.list(Self::interface)?),
            "service" => {
                let (name, _) = self.name("the name of a service")?;
                Condition::Group(format!("{}{name}.service", words::SERVICES))
            }
            _ => {
                let (path, span) = self.text("the path of a control group")?;
                let good = path.starts_with('/') && path.len() > 1 && !path.ends_with('/') && !path.contains("..");
                if !good {
                    return fail(span, "a path such as \"/system.slice/nginx.service\" is expected");
                }
                Condition::Group(path)
            }
        };
        if matches.conditions.iter().any(|other| other.is_like(&condition)) {
            return fail(place, format!("`{word}` is said twice"));
        }
        matches.conditions.push(condition);
        Ok(())
    }

    /// `dnat 10.0.0.1:80`, `dnat [fd00::1]:80`, `redirect 8080`, `snat 192.0.2.1`, `masquerade`
    pub(super) fn translation(&mut self) -> Parsed<Translation> {
        let (word, _) = self.word("a translation")?;
        match word.as_str() {
            "masquerade" => Ok(Translation::Source(None)),
            "redirect" => {
                self.take_word("port");
                let (port, span) = self.word("a port")?;
                match port.parse().ok().filter(|&port: &u16| port != 0) {
                    Some(port) => Ok(Translation::Destination { address: None, port: Some(port) }),
                    None => fail(span, "a port is a number from 1 to 65535"),
                }
            }
            _ => {
                self.take_word("to");
                let (text, span) = self.word("an address")?;
                let address: Option<IpAddr> = text.parse().ok();
                match (address, text.parse::<SocketAddr>().ok().filter(|end| end.port() != 0)) {
                    (Some(address), _) if word == "snat" => Ok(Translation::Source(Some(address))),
                    (Some(address), _) => Ok(Translation::Destination { address: Some(address), port: None }),
                    (None, Some(end)) if word == "dnat" => {
                        Ok(Translation::Destination { address: Some(end.ip()), port: Some(end.port()) })
                    }
                    _ if word == "snat" => fail(span, "an address is expected, without a port"),
                    _ => fail(span, "an address is expected, or `192.0.2.1:80`, `[2001:db8::1]:80`"),
                }
            }
        }
    }

    fn users(&mut self) -> Parsed<RangeInclusive<u32>> {
        let (word, span) = self.word("the number of a user")?;
        let one = |text: &str| if text == "root" { Some(0) } else { numeral(text) };
        let users = match word.split_once('-') {
            None => one(&word).map(|one| one..=one),
            Some((first, last)) => one(first).zip(one(last)).map(|(first, last)| first..=last),
        };
        match users.filter(|users| !users.is_empty()) {
            Some(users) if users.contains(&NOBODY) => {
                fail(span, format!("packets without a socket look as if they came from user {NOBODY}: leave it out"))
            }
            Some(users) => Ok(users),
            None => fail(span, "a user is a number (see `id -u NAME`), `root`, or a range `1000-1999`"),
        }
    }

    /// `08:00 and 18:00 on mon-fri`
    fn hours(&mut self) -> Parsed<Hours> {
        let from = self.time()?;
        if !self.take_word("and") {
            return fail(self.span(), "expected `and` and the time at which it ends");
        }
        let span = self.span();
        let until = self.time()?;
        if from % 1440 == until % 1440 && !(from == 0 && until == 1440) {
            return fail(span, "it ends when it begins; all day is `between 00:00 and 24:00`");
        }
        let from = if from == 1440 { 0 } else { from };
        let mut days = words::ALL_DAYS;
        // `on` may also be followed by interfaces.
        let next = self.pieces.get(self.at + 1).map(|piece| &piece.token);
        let named = match next {
            Some(super::Token::Mark('{')) => self.pieces.get(self.at + 2).map(|piece| &piece.token),
            next => next,
        };
        let is_day = matches!(named, Some(super::Token::Word(word)) if day_range(word).is_some());
        if is_day && self.take_word("on") {
            days = 0;
            for range in self.list(|line| {
                let (word, span) = line.word("a day")?;
                match day_range(&word) {
                    Some(range) => Ok(range),
                    None => fail(span, "days are mon, tue, wed, thu, fri, sat, sun, or a range `mon-fri`"),
                }
            })? {
                days |= range;
            }
        }
        Ok(Hours { from, until, days })
    }

    fn time(&mut self) -> Parsed<u16> {
        let (word, span) = self.word("a time such as `08:00`")?;
        let part = |text: &str| text.parse::<u16>().ok().filter(|_| text.len() == 2);
        let parts = word.split_once(':').and_then(|(hour, minute)| Some((part(hour)?, part(minute)?)));
        match parts {
            Some((hour, minute)) if minute < 60 && hour * 60 + minute <= 1440 => Ok(hour * 60 + minute),
            _ => fail(span, "a time of day is written `08:00`, from 00:00 to 24:00"),
        }
    }

    /// The addresses behind `from mac` and `to mac`.
    pub(super) fn macs(&mut self, to: &mut Vec<[u8; 6]>) -> Parsed<()> {
        if !to.is_empty() {
            return fail(self.span(), "the link addresses of this side are said twice");
        }
        *to = self.list(|line| {
            let (word, span) = line.word("a link address such as `02:00:5e:10:00:01`")?;
            let parts: Vec<&str> = word.split(':').collect();
            let byte = |part: &str| u8::from_str_radix(part, 16).ok().filter(|_| (1..=2).contains(&part.len()));
            let bytes: Option<Vec<u8>> = parts.iter().map(|part| byte(part)).collect();
            match bytes.and_then(|bytes| <[u8; 6]>::try_from(bytes).ok()) {
                Some(address) => Ok(address),
                None => fail(span, "a link address has six bytes, such as `02:00:5e:10:00:01`"),
            }
        })?;
        Ok(())
    }
}

/// The bits of a day or of a range of days, which may go over the end of the week.
fn day_range(text: &str) -> Option<u8> {
    let day = |name: &str| words::DAYS.iter().position(|row| row.0 == name);
    let (first, last) = match text.split_once('-') {
        Some((first, last)) => (day(first)?, day(last)?),
        None => (day(text)?, day(text)?),
    };
    let length = (last + 7 - first) % 7;
    Some((0..=length).fold(0, |bits, step| bits | words::DAYS[(first + step) % 7].1))
}

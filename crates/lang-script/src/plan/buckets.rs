//! Buckets of histograms with powers of two.

/// Buckets of `hist()`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Buckets;

impl Buckets {
    /// Number of buckets: one for negative values, one for each value below 2^(bits + 1), then 2^bits for each power of
    /// two.
    pub const fn count(bits: u32) -> u32 {
        1 + (1 << (bits + 1)) + (62 - bits) * (1 << bits)
    }

    /// The bucket of a value.
    pub const fn of(value: i64, bits: u32) -> u32 {
        if value < 0 {
            return 0;
        }
        let value = value.cast_unsigned();
        if value < 1 << (bits + 1) {
            return 1 + value as u32;
        }
        let power = 63 - value.leading_zeros();
        let within = (value >> (power - bits)) as u32 & ((1 << bits) - 1);
        1 + (1 << (bits + 1)) + (power - bits - 1) * (1 << bits) + within
    }

    /// Start and end (not included; `None` behind 2^63) of a bucket that is not the one of negative values.
    pub const fn range(bucket: u32, bits: u32) -> (u64, Option<u64>) {
        let number = bucket - 1;
        if number < 1 << (bits + 1) {
            return (number as u64, Some(number as u64 + 1));
        }
        let above = number - (1 << (bits + 1));
        let (power, within) = (bits + 1 + above / (1 << bits), above % (1 << bits));
        let start = (1u64 << power) + ((within as u64) << (power - bits));
        (start, start.checked_add(1 << (power - bits)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn buckets_and_their_ranges_agree() {
        for bits in 0..=5 {
            for shift in 0..63 {
                for near in -2..=2i64 {
                    let value = (1i64 << shift).saturating_add(near);
                    let bucket = Buckets::of(value, bits);
                    if value < 0 {
                        assert_eq!(bucket, 0);
                        continue;
                    }
                    let (start, end) = Buckets::range(bucket, bits);
                    let value = value as u64;
                    assert!(start <= value && end.is_none_or(|end| value < end), "{value} {bits} {bucket}");
                    assert!(bucket < Buckets::count(bits));
                }
            }
            assert_eq!(Buckets::of(i64::MAX, bits) + 1, Buckets::count(bits));
        }
    }
}

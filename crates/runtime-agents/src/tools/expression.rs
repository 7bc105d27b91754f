//! Arithmetic with fractions: exact, or refused.

use std::fmt::Write as _;

use thiserror::Error;

/// The longest expression, in bytes.
const LONGEST: usize = 4096;
/// Digits after the point of what has no end.
const ABOUT: u32 = 12;

/// Why an expression has no value.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub(crate) enum ExpressionError {
    #[error("the expression is longer than {LONGEST} bytes; compute it in parts")]
    TooLong,
    #[error("the expression is empty")]
    Empty,
    #[error("`{0}` is no number")]
    NoNumber(String),
    #[error("`{0}` at character {1} is not understood; use numbers, + - * / % ^ and parentheses")]
    NotUnderstood(char, usize),
    #[error("a number is missing {0}")]
    NoOperand(&'static str),
    #[error("a `(` or `)` has no partner")]
    Unpaired,
    #[error("there is no division by zero")]
    DivisionByZero,
    #[error("the power `^` takes a whole number")]
    BrokenPower,
    #[error("a number on the way is too large to compute exactly")]
    TooLarge,
}

/// A fraction in lowest terms; the denominator is positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Fraction {
    top: i128,
    bottom: i128,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Op {
    Plus,
    Minus,
    Times,
    Over,
    Rest,
    Negate,
    Power,
    Open,
}

/// The value of an expression, as people write it.
///
/// There is no recursion: nesting costs memory, of which the length sets the bound.
pub(crate) fn evaluate(text: &str) -> Result<String, ExpressionError> {
    if text.len() > LONGEST {
        return Err(ExpressionError::TooLong);
    }
    let characters: Vec<char> = text.chars().collect();
    let (mut values, mut ops) = (Vec::new(), Vec::new());
    let (mut at, mut wants_value) = (0, true);
    while let Some(&character) = characters.get(at) {
        at += 1;
        let op = match character {
            ' ' | '\t' | '\n' | '\r' => continue,
            '0'..='9' | '.' if wants_value => {
                let end = number_end(&characters, at);
                values.push(number(&characters[at - 1..end])?);
                (at, wants_value) = (end, false);
                continue;
            }
            '(' if wants_value => {
                ops.push(Op::Open);
                continue;
            }
            ')' if wants_value => return Err(ExpressionError::NoOperand("before `)`")),
            ')' => {
                loop {
                    match ops.pop() {
                        Some(Op::Open) => break,
                        Some(op) => apply(op, &mut values)?,
                        None => return Err(ExpressionError::Unpaired),
                    }
                }
                continue;
            }
            '-' | '−' if wants_value => {
                ops.push(Op::Negate);
                continue;
            }
            '+' if wants_value => continue,
            '+' => Op::Plus,
            '-' | '−' => Op::Minus,
            '*' | '×' | '·' => Op::Times,
            '/' | '÷' => Op::Over,
            '%' => Op::Rest,
            '^' => Op::Power,
            other => return Err(ExpressionError::NotUnderstood(other, at)),
        };
        if wants_value {
            return Err(ExpressionError::NoOperand("before an operator"));
        }
        while let Some(&before) = ops.last() {
            let binds = rank(before) > rank(op) || (rank(before) == rank(op) && op != Op::Power);
            if before == Op::Open || !binds {
                break;
            }
            ops.pop();
            apply(before, &mut values)?;
        }
        ops.push(op);
        wants_value = true;
    }
    if wants_value {
        let nothing = values.is_empty() && ops.is_empty();
        return Err(if nothing { ExpressionError::Empty } else { ExpressionError::NoOperand("at the end") });
    }
    while let Some(op) = ops.pop() {
        if op == Op::Open {
            return Err(ExpressionError::Unpaired);
        }
        apply(op, &mut values)?;
    }
    // What stands side by side without an operator, as in `2 (3)`, is refused above: a value was not wanted.
    values.pop().map(shown).ok_or(ExpressionError::Empty)
}

fn rank(op: Op) -> u8 {
    match op {
        Op::Open => 0,
        Op::Plus | Op::Minus => 1,
        Op::Times | Op::Over | Op::Rest => 2,
        Op::Negate => 3,
        Op::Power => 4,
    }
}

/// Where the number that has begun before `at` ends.
fn number_end(characters: &[char], mut at: usize) -> usize {
    let digit = |at: usize| characters.get(at).is_some_and(char::is_ascii_digit);
    while digit(at) || matches!(characters.get(at), Some('.' | '_')) {
        at += 1;
    }
    if matches!(characters.get(at), Some('e' | 'E')) {
        let sign = usize::from(matches!(characters.get(at + 1), Some('+' | '-')));
        if digit(at + 1 + sign) {
            at += 1 + sign;
            while digit(at) {
                at += 1;
            }
        }
    }
    at
}

fn number(characters: &[char]) -> Result<Fraction, ExpressionError> {
    let text: String = characters.iter().filter(|character| **character != '_').collect();
    let wrong = || ExpressionError::NoNumber(text.chars().take(40).collect());
    let (digits, power) = text.split_once(['e', 'E']).unwrap_or((&text, "0"));
    let power: i32 = power.parse().map_err(|_| ExpressionError::TooLarge)?;
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    if part.contains('.') || (whole.is_empty() && part.is_empty()) {
        return Err(wrong());
    }
    let part = part.trim_end_matches('0');
    let all = format!("0{whole}{part}");
    let top = all.parse().map_err(|_| ExpressionError::TooLarge)?;
    let places = i32::try_from(part.len()).map_err(|_| ExpressionError::TooLarge)?;
    let shift = power.checked_sub(places).ok_or(ExpressionError::TooLarge)?;
    let scale = Fraction { top: 10, bottom: 1 }.power(i128::from(shift));
    match (top, scale) {
        (0, _) => Ok(Fraction { top: 0, bottom: 1 }),
        (_, scale) => Fraction { top, bottom: 1 }.times(scale?),
    }
}

fn apply(op: Op, values: &mut Vec<Fraction>) -> Result<(), ExpressionError> {
    let missing = || ExpressionError::NoOperand("beside an operator");
    let right = values.pop().ok_or_else(missing)?;
    if op == Op::Negate {
        values.push(right.negated()?);
        return Ok(());
    }
    let left = values.pop().ok_or_else(missing)?;
    values.push(match op {
        Op::Plus => left.plus(right)?,
        Op::Minus => left.plus(right.negated()?)?,
        Op::Times => left.times(right)?,
        Op::Over => left.times(right.inverse()?)?,
        Op::Rest => left.rest(right)?,
        Op::Power if right.bottom == 1 => left.power(right.top)?,
        Op::Power => return Err(ExpressionError::BrokenPower),
        Op::Negate | Op::Open => return Err(missing()),
    });
    Ok(())
}

fn common(left: i128, right: i128) -> i128 {
    let (mut left, mut right) = (left.unsigned_abs(), right.unsigned_abs());
    while right != 0 {
        (left, right) = (right, left % right);
    }
    i128::try_from(left).unwrap_or(1).max(1)
}

impl Fraction {
    const LARGE: ExpressionError = ExpressionError::TooLarge;

    fn of(top: i128, bottom: i128) -> Self {
        let by = common(top, bottom);
        Self { top: top / by, bottom: bottom / by }
    }

    fn negated(self) -> Result<Self, ExpressionError> {
        Ok(Self { top: self.top.checked_neg().ok_or(Self::LARGE)?, ..self })
    }

    fn plus(self, other: Self) -> Result<Self, ExpressionError> {
        let by = common(self.bottom, other.bottom);
        let sum = || {
            let left = self.top.checked_mul(other.bottom / by)?;
            let right = other.top.checked_mul(self.bottom / by)?;
            Some(Self::of(left.checked_add(right)?, self.bottom.checked_mul(other.bottom / by)?))
        };
        sum().ok_or(Self::LARGE)
    }

    fn times(self, other: Self) -> Result<Self, ExpressionError> {
        // Shortened crosswise first: what can be held is held.
        let (one, two) = (Self::of(self.top, other.bottom), Self::of(other.top, self.bottom));
        let product =
            || Some(Self { top: one.top.checked_mul(two.top)?, bottom: one.bottom.checked_mul(two.bottom)? });
        product().ok_or(Self::LARGE)
    }

    fn inverse(self) -> Result<Self, ExpressionError> {
        match self.top {
            0 => Err(ExpressionError::DivisionByZero),
            top if top < 0 => {
                let turned = || Some(Self { top: self.bottom.checked_neg()?, bottom: top.checked_neg()? });
                turned().ok_or(Self::LARGE)
            }
            top => Ok(Self { top: self.bottom, bottom: top }),
        }
    }

    /// What is left of whole divisions; it has the sign of the divisor.
    fn rest(self, by: Self) -> Result<Self, ExpressionError> {
        let times = self.times(by.inverse()?)?;
        let whole = Self { top: times.top.div_euclid(times.bottom), bottom: 1 };
        self.plus(whole.times(by)?.negated()?)
    }

    fn power(self, exponent: i128) -> Result<Self, ExpressionError> {
        let base = if exponent < 0 { self.inverse()? } else { self };
        let mut exponent = exponent.unsigned_abs();
        let (mut result, mut square) = (Self { top: 1, bottom: 1 }, base);
        while exponent > 0 {
            if exponent & 1 == 1 {
                result = result.times(square)?;
            }
            exponent >>= 1;
            if exponent > 0 {
                square = square.times(square)?;
            }
        }
        Ok(result)
    }
}

/// As a decimal number if it has an end, and otherwise as the fraction and about how much that is.
fn shown(value: Fraction) -> String {
    let mut bottom = value.bottom;
    let (mut twos, mut fives) = (0_u32, 0_u32);
    while bottom % 2 == 0 {
        (bottom, twos) = (bottom / 2, twos + 1);
    }
    while bottom % 5 == 0 {
        (bottom, fives) = (bottom / 5, fives + 1);
    }
    if bottom == 1 {
        return decimal(value, twos.max(fives));
    }
    format!("{}/{} (about {})", value.top, value.bottom, decimal(value, ABOUT))
}

/// Digit by digit, as on paper: no power of ten has to be held.
fn decimal(value: Fraction, places: u32) -> String {
    let (top, bottom) = (value.top.unsigned_abs(), value.bottom.unsigned_abs());
    let mut text = format!("{}{}", if value.top < 0 { "-" } else { "" }, top / bottom);
    let mut rest = top % bottom;
    for place in 0..places {
        let (mut digit, mut left) = (0_u8, 0_u128);
        // 10 * rest / bottom without ten times rest, which may be too large to hold.
        for _ in 0..10 {
            left = match left.checked_add(rest).filter(|sum| *sum < bottom) {
                Some(sum) => sum,
                None => {
                    digit += 1;
                    left.wrapping_add(rest).wrapping_sub(bottom)
                }
            };
        }
        let point = if place == 0 { "." } else { "" };
        write!(text, "{point}{digit}").expect("writing to a string does not fail");
        rest = left;
    }
    text
}

//! Two contenders that take turns, so that whatever the machine does meanwhile happens to both.

use futures_util::future::LocalBoxFuture;

use super::error::FiguresError;
use super::spread::Spread;

/// A contender by its name, and what it does in its turn.
pub(crate) type Contender<'a> = (&'static str, Box<dyn FnMut() -> Turn<'a> + 'a>);

/// One measurement.
pub(crate) type Turn<'a> = LocalBoxFuture<'a, Result<f64, FiguresError>>;

/// All contenders take turns, one unmeasured round and then `rounds` measured ones; the first of each round is another one.
pub(crate) async fn round_robin(
    rounds: u32,
    mut contenders: Vec<Contender<'_>>,
) -> Result<Vec<(&'static str, Spread)>, FiguresError> {
    let count = contenders.len();
    let mut measured = vec![Vec::new(); count];
    for round in 0..=rounds as usize {
        for turn in 0..count {
            let nth = (round + turn) % count;
            let value = contenders[nth].1().await?;
            if round > 0 {
                measured[nth].push(value);
            }
        }
    }
    Ok(contenders.iter().zip(measured).map(|((name, _), values)| (*name, Spread::of(values))).collect())
}

/// One unmeasured round, then `rounds` measured ones. Who begins changes from round to round.
pub(crate) async fn take_turns(
    rounds: u32,
    mut ours: impl AsyncFnMut() -> Result<f64, FiguresError>,
    mut baseline: impl AsyncFnMut() -> Result<f64, FiguresError>,
) -> Result<(Spread, Spread), FiguresError> {
    let (mut of_ours, mut of_baseline) = (Vec::new(), Vec::new());
    for round in 0..=rounds {
        let (our, their);
        if round % 2 == 0 {
            our = ours().await?;
            their = baseline().await?;
        } else {
            their = baseline().await?;
            our = ours().await?;
        }
        if round > 0 {
            of_ours.push(our);
            of_baseline.push(their);
        }
    }
    Ok((Spread::of(of_ours), Spread::of(of_baseline)))
}

//! The table of stages: what `cargo xtask test` runs, and in which order.
//!
//! Everything is one profile (dev) and one set of features (the workspace's own, development
//! dependencies among them), so that no crate is compiled twice for the same purpose. That is why
//! `build` names all targets and why examples are started as the programs that it built:
//! `cargo run -p examples` would choose the features of that one package and compile anew.

/// One thing that is run, and must succeed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Stage {
    pub(crate) name: String,
    pub(crate) program: Program,
    pub(crate) args: Vec<String>,
    pub(crate) env: Vec<(&'static str, String)>,
}

/// What a stage starts.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Program {
    /// The cargo that runs xtask.
    Cargo,
    /// A program that the stage `build` made, below `target/debug`.
    Built(String),
}

/// All stages, in order; cheap ones first, so that a slip is told early. `tools` lead the tests to what they start.
pub(crate) fn stages(examples: &[String], tools: &[(&'static str, String)]) -> Vec<Stage> {
    let mut stages = vec![
        cargo("format", "fmt --all --check"),
        cargo("clippy", "clippy --workspace --all-targets --locked -- -D warnings"),
        cargo("build", "build --workspace --all-targets --locked"),
        cargo("test", "test --workspace --locked").with_all(tools),
        // `--examples` makes cargo choose the features that `clippy` has checked with.
        cargo("doc", "doc --workspace --no-deps --lib --examples --locked")
            .with("RUSTDOCFLAGS", "-D warnings"),
    ];
    for example in examples {
        stages.push(built(&format!("example {example}"), &format!("examples/{example}"), ""));
    }
    stages.push(built("chaos crash", "chaos", "crash --n 30 --seed 1"));
    stages
}

fn cargo(name: &str, args: &str) -> Stage {
    stage(name, Program::Cargo, args)
}

fn built(name: &str, program: &str, args: &str) -> Stage {
    stage(name, Program::Built(program.to_owned()), args)
}

fn stage(name: &str, program: Program, args: &str) -> Stage {
    let args = args.split_whitespace().map(str::to_owned).collect();
    Stage { name: name.to_owned(), program, args, env: Vec::new() }
}

impl Stage {
    fn with(self, name: &'static str, value: &str) -> Self {
        self.with_all(&[(name, value.to_owned())])
    }

    fn with_all(mut self, env: &[(&'static str, String)]) -> Self {
        self.env.extend_from_slice(env);
        self
    }

    /// The command as a person would type it.
    pub(crate) fn line(&self) -> String {
        let mut words: Vec<String> =
            self.env.iter().map(|(name, value)| format!("{name}=\"{value}\"")).collect();
        words.push(match &self.program {
            Program::Cargo => "cargo".to_owned(),
            Program::Built(program) => format!("target/debug/{program}"),
        });
        words.extend(self.args.iter().cloned());
        words.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::{Program, stages};

    #[test]
    fn each_example_is_a_stage_after_the_build() {
        let stages = stages(&["basic".to_owned(), "state".to_owned()], &[]);

        let names: Vec<&str> = stages.iter().map(|stage| stage.name.as_str()).collect();
        let all =
            ["format", "clippy", "build", "test", "doc", "example basic", "example state", "chaos crash"];
        assert_eq!(names, all);
        assert_eq!(stages[5].program, Program::Built("examples/basic".to_owned()));
    }

    #[test]
    fn every_cargo_stage_that_resolves_crates_keeps_the_lock() {
        for stage in
            stages(&[], &[]).iter().filter(|stage| stage.program == Program::Cargo && stage.name != "format")
        {
            assert!(stage.args.contains(&"--locked".to_owned()), "{}", stage.line());
        }
    }

    #[test]
    fn a_line_shows_variables_program_and_arguments() {
        let stages = stages(&["basic".to_owned()], &[("NODE", "node".to_owned())]);

        assert_eq!(stages[3].line(), "NODE=\"node\" cargo test --workspace --locked");
        assert_eq!(
            stages[4].line(),
            "RUSTDOCFLAGS=\"-D warnings\" cargo doc --workspace --no-deps --lib --examples --locked"
        );
        assert_eq!(stages[5].line(), "target/debug/examples/basic");
    }
}

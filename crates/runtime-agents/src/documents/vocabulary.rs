//! Words of questions that are not what the question is about.

/// What a word does in a question.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Grammar: never searched for.
    Grammar,
    /// Points back (`that`, `it`, `this`): never searched for, and says that the last topic matters.
    Back,
    /// Asks for more (`more`, `further`): never searched for.
    More,
    /// May ask to go on (`continue`, `details`), or be what the question is about when other words are there.
    Talk,
    /// Names a piece of a conversation (`topic`, `point`): grammar after a word that points back.
    Piece,
    /// Common in every question (`work`, `use`, `mean`): searched for, with little weight.
    Soft,
    /// What the question is about.
    Content,
}

// Lists of words, each separated from the next by one space.
const GRAMMAR: &str = "a about again all also am an and any anybody anyone anything are aren as at be because been \
    being between both but by can cannot could couldn d dear did didn do does doesn doing don \
    done each either every everything for from give had has hasn have haven having he hello her \
    hers hey hi him his how i if in into is isn just know let like ll many may me might mine \
    much must my myself no nor not now of off ok okay on only onto or our ours please pls quite \
    rather re really say says shall she should shouldn show so some somebody someone something \
    speak still such tell than thank thanks the then there to too u us ve very want was wasn we \
    were what whats when where whether which while who whom whose why will with won would wouldn \
    yes yet you your yours";

const BACK: &str = "he it its last previous prior same that their them these they this those";

const MORE: &str = "additional else further furthermore more";

const TALK: &str = "another carry clarify continue deeper describe detail detailed details dig elaborate expand \
    explain go going info information keep next other others proceed remaining rest";

const PIECE: &str = "answer bit conversation discussion matter one ones part passage point question stuff subject \
    theme thing things topic topics";

const SOFT: &str = "able across actually after against allow allowed before behind best big call called calls come comes \
    define defined definition difference different down during eight exactly example examples \
    explanation far fast find first five four get gets getting goes gone good got happen happened \
    happening happens help kind know learn live lives long look looks made make makes mean meaning means \
    mention mentioned need needed needs new nine often out over own per possible purpose reason second \
    see seven six supposed take takes talk talks ten three through two under up upon use used useful \
    uses using via way ways within without word work working works";

/// The role of a word, given in lower case.
pub(super) fn role(word: &str) -> Role {
    let lists = [
        (BACK, Role::Back),
        (MORE, Role::More),
        (TALK, Role::Talk),
        (PIECE, Role::Piece),
        (SOFT, Role::Soft),
        (GRAMMAR, Role::Grammar),
    ];
    let found = lists.iter().find(|(words, _)| words.split(' ').any(|known| known == word));
    found.map_or(Role::Content, |(_, role)| *role)
}

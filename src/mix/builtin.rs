//! Built-in prompts, for profiles that do not bring their own.

const SHORT: [&str; 6] = ["Hello!", "Hi", "How are you?", "Tell me a joke.", "What is 7 times 6?", "Good morning!"];

/// A sentence or two.
const MEDIUM: [&str; 6] = [
    "Explain in a few sentences how a hash map finds a key, and what happens when two keys collide.",
    "What should I look at first when a web service answers slowly only for one user in a hundred?",
    "Write a short product description for a backpack that is made from old sails.",
    "Suggest three vegetarian dinners that take less than half an hour, and name the ingredients of each.",
    "Which questions should a team ask itself before it splits one large program into several small ones?",
    "Translate into French and keep it polite: we are sorry, but your parcel will arrive two days later than planned.",
];

const LONG: [&str; 4] = [
    "We run an online shop with about forty thousand orders a day. Orders come in through a web front end, are written to one \
     relational database and are then picked up by a job that runs every minute, reserves the stock, charges the customer and \
     sends an e-mail. On busy evenings the job no longer finishes within its minute, the next one starts while the first is still \
     at work, and every now and then a customer is charged twice. Describe step by step how you would find out what exactly goes \
     wrong, how you would stop the double charges this week with as little change as possible, and what the design should look \
     like in half a year when we expect three times as many orders. Name the trade-offs of each step.",
    "Please review the following plan for a weekend course and tell us what is missing. Twelve people who have never programmed \
     want to learn enough to keep their own small lists and tables in order. On Saturday morning they install the tools and print \
     their first line of text; before lunch they read numbers from a file and add them up. In the afternoon they work in pairs on \
     a table of their own, a household budget or the results of a sports club. On Sunday they draw a chart from it, learn how to \
     search for an error message, and at the end each pair shows what it has made. There is one teacher, one helper, and a room \
     with a slow network. Be concrete about what may go wrong at each point and how to prepare for it.",
    "Summarise this report in five points for a reader with two minutes. The bridge over the river was closed to lorries in March, \
     after an inspection had found cracks in two of the eleven main girders. Since then heavy traffic takes the road through the \
     old town, where the council counted nine hundred lorries on a working day, four times as many as before. Shop owners complain \
     of noise and dust, the school has moved its entrance to the back, and the bus now needs twenty minutes instead of nine. A \
     repair would cost two million and take one summer; the repaired bridge would last some fifteen years. A new bridge would cost \
     eleven million, take four years, and carry a cycle path as well. The state pays half of a new bridge, but nothing towards a \
     repair. The council decides in November.",
    "Act as an experienced editor. Below is the first paragraph of a novel; say what works, what does not, and rewrite it once in a \
     plainer voice. The lamp on the landing had been broken since the spring, so that Marta had learned to count the steps: \
     fourteen to the first floor, a turn, eleven to her own. That evening there were twelve. She stood still with one foot in the \
     air, as one stands in a dream, and listened to the house, which was silent in the way in which a person is silent who has just \
     stopped talking. Then somebody above her struck a match, and in the short yellow light she saw that the wall, which had been \
     green for as long as she had lived there, was covered with numbers, small, neat, and all in her own hand.",
];

/// Returns the set with this name: `short`, `medium` or `long`.
pub fn builtin_prompts(name: &str) -> Option<Vec<String>> {
    let prompts: &[&str] = match name {
        "short" => &SHORT,
        "medium" => &MEDIUM,
        "long" => &LONG,
        _ => return None,
    };
    Some(prompts.iter().map(|&prompt| prompt.to_owned()).collect())
}

#include "adder/data/generate/story_plots.h"

namespace adder::data::plots {
namespace {

using Text = const char*;

constexpr Text kOpenings[] = {
    "Once there was {a trait} {kind} named {hero} who lived {home}.",
    "{Hero} was {a trait} {kind} who lived {home}.",
    "In a little house {home} lived {a trait} {kind} named {hero}.",
    "One {weather} {time}, {a trait} {kind} named {hero} went to {place}.",
    "On {a weather} {time}, {hero} the {kind} was {inplace}.",
    "There lived {a trait} {kind} {home}, and {his} name was {hero}."};

constexpr Text kFeelings[] = {"{Hero} was very {sad}.",
                              "This made {hero} {sad}.",
                              "{He} felt {sad} and sat down {inplace}.",
                              "\"What shall I do now?\" said {hero}.",
                              "\"Oh no!\" cried {hero}.",
                              "{Hero} felt {sad}, but {he} did not cry."};

constexpr Text kThanks[] = {"\"Thank you, {friend},\" said {hero}.",
                            "\"You are a true friend,\" said {hero} to {friend}.",
                            "{Hero} was so {glad} that {he} laughed out loud.",
                            "{Hero} gave {friend} {food} to say thank you.",
                            "\"I was {glad} to help,\" said {friend}.",
                            "Then they shared {food} and were {glad}."};

// ---- something is lost ----
constexpr Text kLostTitles[] = {"The Lost {thing}", "Where Is the {thing}?",
                                "{Hero} Loses {a thing}", "{Hero} and the {colour} {thing}"};
constexpr Text kLostSetups[] = {"{He} had {a colour} {thing} that {he} loved more than anything.",
                                "Every {time} {he} liked to {use} {inplace}.",
                                "{His} grandmother had given {him} {a colour} {thing}.",
                                "That {time} {he} wanted to {use}, but the {thing} was gone."};
constexpr Thread kLost[] = {
    {"A strong wind took the {thing} and carried it over the wall.",
     "It hung high in a tree, and {hero} could not reach it.",
     "{Friend} the {fkind} brought a long ladder and took the {thing} down.",
     "From then on, {hero} held the {thing} with both hands when the wind blew."},
    {"The {thing} had slipped out of {his} bag on the way to {other}.",
     "{He} walked back and looked under every bush.",
     "{Friend} the {fkind} had found it on the path and kept it safe.",
     "That night {hero} sewed up the hole in {his} bag."},
    {"{A bird} had carried the {thing} away to its nest.",
     "The nest was on the roof {inother}, and nobody dared to climb so high.",
     "{Friend} gave the {bird} a shiny button, and it let the {thing} fall.",
     "Since that day, {hero} and the {bird} have been friends."},
    {"{He} had left the {thing} {inother} the day before.",
     "When {he} came there, the door was locked and it was getting dark.",
     "{Friend} the {fkind} knew that the key lay under a stone, and soon they were inside.",
     "Now {hero} looks around twice before {he} goes home."},
    {"The {thing} had fallen into the water and floated away.",
     "{Hero} ran along the bank, but the water was faster.",
     "{Friend} the {fkind} waited at the next bend and caught it with a stick.",
     "They let the {thing} dry in the sun, and it was as good as new."}};

// ---- something is broken ----
constexpr Text kBrokenTitles[] = {"The Broken {thing}", "{Hero} Mends {a thing}",
                                  "{Friend} Helps {hero}", "{A thing} in Two Pieces"};
constexpr Text kBrokenSetups[] = {"{He} wanted to {use} {inplace}.",
                                  "{He} had borrowed {a colour} {thing} from {friend}.",
                                  "{He} carried {a colour} {thing} to {place}.",
                                  "{His} {colour} {thing} was the finest {inplace}."};
constexpr Thread kBroken[] = {
    {"{He} ran too fast, fell over a stone, and the {thing} broke.",
     "{Hero} tried to put the pieces together, but they would not hold.",
     "{Friend} the {fkind} came with glue and string, and they mended it slowly.",
     "The {thing} had a crack now, but {hero} liked it even more."},
    {"A big {bird} landed on the {thing} and broke it.",
     "The {bird} was sorry, but it could not mend things.",
     "{Friend} took the {thing} home and worked on it all night.",
     "In the morning the {thing} was whole again, and {hero} built a perch for the {bird}."},
    {"{He} left the {thing} out in the rain, and it broke.",
     "\"It is my own fault,\" thought {hero}.",
     "{Friend} the {fkind} showed {him} how to mend it with a piece of wood.",
     "After that, {hero} always brought the {thing} inside at night."},
    {"Two children pulled at the {thing} until it broke.",
     "Each of them said that it was the other one.",
     "{Friend} said, \"Let us mend it together,\" and so they did.",
     "In the end {hero} and the others could all {use}, one after the other."}};

// ---- someone is afraid ----
constexpr Text kFearTitles[] = {"{Hero} Is Not Afraid", "A Noise in the Night",
                                "{Hero} and the Dark", "The Brave {kind}"};
constexpr Text kFearSetups[] = {
    "{He} had to bring {food} to {other}.", "{He} had never been to {other} alone.",
    "{Friend} had asked {him} to come to {other}.", "{He} wanted to see {other} before night."};
constexpr Thread kFear[] = {
    {"On the way {he} heard a strange noise behind {him}.",
     "{His} heart beat fast, and {he} hid behind a wall.",
     "It was only {friend} the {fkind}, who wanted to walk with {him}.",
     "Now {hero} turns around and looks when {he} hears a noise."},
    {"The fog became so thick that {he} could not see the path.",
     "{He} did not know which way was home.",
     "{Friend} rang a bell {inother}, and {hero} followed the sound.",
     "Since then, a bell hangs there for everybody who is lost."},
    {"The old bridge shook under {his} feet.", "{He} stopped in the middle and could not move.",
     "{Friend} the {fkind} held out a hand and said, \"Look at me, not at the water.\"",
     "Step by step they crossed, and {hero} was not afraid of bridges any more."},
    {"The lamp went out, and it was as dark as in a cave.",
     "{Hero} wanted to run, but {he} did not know where.",
     "{Friend} said, \"Wait, and your eyes will learn to see,\" and soon there were stars.",
     "That is how {hero} began to like the night."}};

// ---- a gift ----
constexpr Text kGiftTitles[] = {"A Gift for {friend}", "The {colour} {thing}",
                                "{Hero} Has a Secret", "The Best Gift"};
constexpr Text kGiftSetups[] = {
    "It was the birthday of {friend} the {fkind}, and {hero} wanted to give {fhim} {a thing}.",
    "{Friend} had always wished for {a colour} {thing}.",
    "{He} made {a colour} {thing} for {friend} and told nobody.",
    "{He} saved every coin to buy {a thing} for {friend}."};
constexpr Thread kGift[] = {{"But the {thing} {inother} cost too much.",
                             "{Hero} counted {his} coins again, and there were still too few.",
                             "So {he} worked {inother} for a week and swept the floor.",
                             "{Friend} was so {glad} that {fhe} hugged {hero} three times."},
                            {"But on the way {he} met an old man who was hungry and cold.",
                             "{Hero} had nothing else to give, so {he} gave the {thing} away.",
                             "{Friend} heard of it and said, \"That is the best gift of all.\"",
                             "The next day the old man came with {food} for them both."},
                            {"But {friend} saw the {thing} too early.",
                             "{Hero} had to think of something new, and there was little time.",
                             "{He} brought {food} and put a candle on it.",
                             "{Friend} laughed and said that two gifts are better than one."},
                            {"But {hero} forgot the {thing} {inother}.",
                             "All the guests were there, and {hero} came with empty hands.",
                             "{He} sang a song instead, and everybody sang along.",
                             "{Friend} still hums that song when the {weather} days come."}};

// ---- something is learned ----
constexpr Text kLearnTitles[] = {"{Hero} Learns Something New", "{Hero} Tries Again",
                                 "The First {time}", "Slow and Steady"};
constexpr Text kLearnSetups[] = {"{He} wanted to learn how to {use}.",
                                 "{Friend} the {fkind} could {use} better than anyone.",
                                 "All the others could already {use}, but {hero} could not.",
                                 "{Hero} had found {a colour} {thing} {inplace}."};
constexpr Thread kLearn[] = {
    {"The first time {he} tried to {use}, everybody laughed.",
     "{He} wanted to give up and go home.",
     "{Friend} said, \"I fell ten times before I could do it.\"",
     "So {hero} tried again each {time}, and one day nobody laughed."},
    {"{He} tried too hard, and nothing worked.", "The more {he} hurried, the worse it became.",
     "{Friend} said, \"First watch, then breathe, then begin.\"",
     "{Hero} did so, and at the end of the day {he} could {use}."},
    {"It rained all week, so there was no place to {use}.",
     "{Hero} looked out of the window and waited.",
     "{Friend} opened the door of the barn and said, \"There is room in here.\"",
     "When the rain stopped, {hero} was already good at it."},
    {"{He} asked {friend} to show {him}, but {friend} was tired.",
     "{Hero} tried alone and made one mistake after another.",
     "In the evening {friend} came, looked, and showed {him} one small thing.",
     "It was enough, and now {hero} teaches the little ones."}};

// ---- the weather changes ----
constexpr Text kStormTitles[] = {"The Storm", "A {weather} {time}", "The Picnic",
                                 "{Hero} and the Rain"};
constexpr Text kStormSetups[] = {"{Hero} and {friend} the {fkind} had packed {food} for a picnic.",
                                 "{Hero} wanted to {use} {inother} with {friend}.",
                                 "{Friend} and {hero} had planned a trip to {other}.",
                                 "{He} had promised to meet {friend} {inother}."};
constexpr Thread kStorm[] = {
    {"Suddenly the sky grew black, and it began to rain.",
     "There was no roof, and soon they were wet.",
     "{Friend} turned the old {colour} boat over, and they crept under it.",
     "They ate {food} in the dry and said that it was the best day of all."},
    {"In the night so much snow fell that the road was closed.", "{Hero} could not open the door.",
     "{Friend} the {fkind} came with a spade and dug a path.",
     "Then they built a snowman {inplace} and gave it {a colour} hat."},
    {"A storm broke the mast of the little ship.", "The waves pushed it towards the rocks.",
     "{Friend} lit a fire {inother}, so that {hero} could see the way.",
     "The ship came home, and {hero} never sails without a lamp again."},
    {"It was so hot that the well ran dry.",
     "The flowers hung their heads, and the animals were thirsty.",
     "{Hero} and {friend} carried water from the river, bucket by bucket.",
     "When the rain came at last, the whole village danced in it."}};

constexpr Plot kPlots[] = {
    {kLostTitles, kLostSetups, kLost},    {kBrokenTitles, kBrokenSetups, kBroken},
    {kFearTitles, kFearSetups, kFear},    {kGiftTitles, kGiftSetups, kGift},
    {kLearnTitles, kLearnSetups, kLearn}, {kStormTitles, kStormSetups, kStorm}};

// ---- talks ----
constexpr Text kTripOpenings[] = {"Good {time}, {friend}! Where are you going?",
                                  "Hello, {friend}. Are you going to {other}?",
                                  "{Friend}, why do you carry {a colour} {thing}?"};
constexpr Text kTripReplies[] = {"I am going to {other}, because I want to {use} there.",
                                 "May I come with you?",
                                 "I must bring this {thing} to {other}.",
                                 "It is {weather} today. Take {a colour} scarf with you.",
                                 "My aunt lives near {other}, and I bring her {food}.",
                                 "That is kind. I will help you to carry it.",
                                 "Nowhere. I only want to {use} {inplace}.",
                                 "Then I will sit here and watch."};
constexpr Text kTripEndings[] = {
    "Yes, come. The way is shorter with a friend.", "Thank you, {hero}. You are always kind.",
    "Good. We will be back before the {time} is over.", "Then let us go at once."};
constexpr Text kSadOpenings[] = {"You look {sad}, {friend}. What has happened?",
                                 "{Friend}, why are you {sad}?",
                                 "Why do you sit {inplace} all alone, {friend}?"};
constexpr Text kSadReplies[] = {"I have lost my {colour} {thing}.",
                                "Let us look for it {inother}.",
                                "My {thing} is broken, and I wanted to {use} today.",
                                "I know how to mend it. Give it to me.",
                                "{A bird} ate all of my bread.",
                                "I have {food}. Half of it is yours.",
                                "It is {weather}, and nobody wants to play.",
                                "I want to play. Let us {use} together."};
constexpr Text kSadEndings[] = {
    "Thank you, {hero}. Now I am {glad} again.", "You are the best friend that I have.",
    "That is a good idea. I feel better already.", "Next time I will help you, {hero}."};
constexpr Text kAskOpenings[] = {"{Friend}, do you know why it is so {weather} today?",
                                 "Can you teach me how to {use}, {friend}?",
                                 "{Friend}, what did you see {inother}?"};
constexpr Text kAskReplies[] = {"I do not know. Let us ask the {bird}.",
                                "The {bird} only says what it always says.",
                                "First you must be patient.",
                                "I am patient. I waited here since the {time}.",
                                "I saw {a colour} {thing}, and nobody was near it.",
                                "Then somebody has lost it. We must find out who.",
                                "My grandfather told me, but I forgot.",
                                "Then we should visit him and bring him {food}."};
constexpr Text kAskEndings[] = {"You ask good questions, {hero}.",
                                "Good. Tomorrow we will go to {other} together.",
                                "I think so too. Come, {hero}.", "Then we both learned something."};

constexpr Talk kTalks[] = {{"{Hero} Meets {friend}", kTripOpenings, kTripReplies, kTripEndings},
                           {"{Friend} Is {sad}", kSadOpenings, kSadReplies, kSadEndings},
                           {"{Hero} Asks {friend}", kAskOpenings, kAskReplies, kAskEndings}};

}  // namespace

std::span<const char* const> openings() {
  return kOpenings;
}
std::span<const char* const> feelings() {
  return kFeelings;
}
std::span<const char* const> thanks() {
  return kThanks;
}
std::span<const Plot> plots() {
  return kPlots;
}
std::span<const Talk> talks() {
  return kTalks;
}

}  // namespace adder::data::plots

#include "adder/data/generate/story_words.h"

namespace adder::data::words {
namespace {

constexpr Name kNames[] = {
    {"Anna", true},   {"Ben", false},   {"Clara", true},  {"David", false}, {"Ella", true},
    {"Felix", false}, {"Greta", true},  {"Henry", false}, {"Ida", true},    {"Jack", false},
    {"Kate", true},   {"Leo", false},   {"Mia", true},    {"Noah", false},  {"Olga", true},
    {"Paul", false},  {"Rosa", true},   {"Sam", false},   {"Tina", true},   {"Victor", false},
    {"Wendy", true},  {"Adam", false},  {"Bella", true},  {"Carl", false},  {"Dora", true},
    {"Emil", false},  {"Fiona", true},  {"Gus", false},   {"Hanna", true},  {"Ivan", false},
    {"June", true},   {"Karl", false},  {"Lily", true},   {"Max", false},   {"Nora", true},
    {"Oscar", false}, {"Pippa", true},  {"Robin", false}, {"Sally", true},  {"Tom", false},
    {"Ursula", true}, {"Will", false},  {"Yara", true},   {"Zoe", true},    {"Amos", false},
    {"Betty", true},  {"Colin", false}, {"Maya", true}};

constexpr Place kPlaces[] = {{"the harbour", "at the harbour"},
                             {"the old mill", "at the old mill"},
                             {"the forest", "in the forest"},
                             {"the market", "at the market"},
                             {"the river", "by the river"},
                             {"the lake", "by the lake"},
                             {"the school", "at the school"},
                             {"the library", "in the library"},
                             {"the garden", "in the garden"},
                             {"the lighthouse", "at the lighthouse"},
                             {"the stone bridge", "on the stone bridge"},
                             {"the village square", "in the village square"},
                             {"the apple orchard", "in the apple orchard"},
                             {"the hill", "on the hill"},
                             {"the beach", "on the beach"},
                             {"the barn", "in the barn"},
                             {"the bakery", "at the bakery"},
                             {"the station", "at the station"},
                             {"the meadow", "in the meadow"},
                             {"the castle ruins", "in the castle ruins"}};

constexpr Thing kThings[] = {{"kite", "fly the kite"},
                             {"drum", "play the drum"},
                             {"boat", "sail the boat"},
                             {"ball", "throw the ball"},
                             {"lantern", "light the lantern"},
                             {"book", "read the book"},
                             {"flute", "play the flute"},
                             {"map", "follow the map"},
                             {"basket", "fill the basket"},
                             {"hat", "wear the hat"},
                             {"bell", "ring the bell"},
                             {"sled", "pull the sled"},
                             {"violin", "play the violin"},
                             {"umbrella", "open the umbrella"},
                             {"rope", "climb the rope"},
                             {"scarf", "wear the scarf"},
                             {"clock", "wind the clock"},
                             {"mirror", "hold the mirror"},
                             {"wagon", "pull the wagon"},
                             {"paintbrush", "use the paintbrush"},
                             {"compass", "read the compass"},
                             {"blanket", "fold the blanket"},
                             {"telescope", "look through the telescope"},
                             {"key", "turn the key"}};

constexpr const char* kKindsShe[] = {"girl",  "girl", "girl",  "fox",  "rabbit",
                                     "mouse", "bear", "otter", "deer", "hedgehog"};
constexpr const char* kKindsHe[] = {"boy",   "boy",  "boy",   "fox",    "rabbit",
                                    "mouse", "bear", "otter", "badger", "hedgehog"};
constexpr const char* kTraits[] = {"brave", "kind",   "clever",  "curious", "quiet", "cheerful",
                                   "shy",   "gentle", "patient", "small",   "proud", "young"};
constexpr const char* kHomes[] = {"near the forest",    "by the sea",          "on a green hill",
                                  "in a small village", "at the edge of town", "beside a river",
                                  "under a tall oak",   "in a red house",      "behind the mill",
                                  "in a quiet valley",  "close to the market", "on a little farm"};
constexpr const char* kWeathers[] = {"sunny", "rainy", "windy", "cold",
                                     "foggy", "snowy", "warm",  "cloudy"};
constexpr const char* kTimes[] = {"morning", "afternoon", "evening", "day"};
constexpr const char* kColours[] = {"red",   "blue",  "green",  "yellow", "white",
                                    "brown", "black", "silver", "golden", "purple"};
constexpr const char* kFoods[] = {"a warm apple pie",  "a loaf of bread",     "a bowl of soup",
                                  "a basket of pears", "a plate of pancakes", "a honey cake",
                                  "some fresh milk",   "a pot of jam",        "a bag of nuts",
                                  "a slice of cheese"};
constexpr const char* kBirds[] = {"crow", "owl", "gull", "magpie", "sparrow", "raven"};
constexpr const char* kSights[] = {"The sky was full of small clouds.",
                                   "Leaves danced in the wind.",
                                   "The air smelled of fresh bread.",
                                   "Birds sang in the trees.",
                                   "Far away, a bell rang.",
                                   "The grass was still wet.",
                                   "Everybody was busy with their own work.",
                                   "A cat slept on the wall.",
                                   "The sun hung low over the roofs.",
                                   "It was very quiet.",
                                   "Smoke rose from the chimneys.",
                                   "Two ducks swam on the pond.",
                                   "The road was empty.",
                                   "Bees hummed in the flowers.",
                                   "A dog barked somewhere.",
                                   "The windows shone like gold."};
constexpr const char* kSad[] = {"sad", "worried", "upset", "afraid", "lonely", "unhappy"};
constexpr const char* kGlad[] = {"happy", "glad", "proud", "cheerful", "thankful", "pleased"};

}  // namespace

std::span<const Name> names() {
  return kNames;
}
std::span<const Place> places() {
  return kPlaces;
}
std::span<const Thing> things() {
  return kThings;
}
std::span<const char* const> kinds_she() {
  return kKindsShe;
}
std::span<const char* const> kinds_he() {
  return kKindsHe;
}
std::span<const char* const> traits() {
  return kTraits;
}
std::span<const char* const> homes() {
  return kHomes;
}
std::span<const char* const> weathers() {
  return kWeathers;
}
std::span<const char* const> times() {
  return kTimes;
}
std::span<const char* const> colours() {
  return kColours;
}
std::span<const char* const> foods() {
  return kFoods;
}
std::span<const char* const> birds() {
  return kBirds;
}
std::span<const char* const> sights() {
  return kSights;
}
std::span<const char* const> sad() {
  return kSad;
}
std::span<const char* const> glad() {
  return kGlad;
}

}  // namespace adder::data::words

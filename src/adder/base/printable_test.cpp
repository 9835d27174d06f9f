#include "adder/base/printable.h"

#include <gtest/gtest.h>

namespace adder {
namespace {

TEST(Printable, WordsStayAsTheyAre) {
  for (const char* text :
       {"", "model.safetensors, tensor 'a.b'", "\xc3\xa9\xe2\x82\xac\xf0\x9f\x90\x8d"}) {
    EXPECT_EQ(printable(text, 2000), text);
  }
}

TEST(Printable, WhatSteersATerminalIsShown) {
  EXPECT_EQ(printable("a\x1b[2Jb\r\t\x7f", 2000), "a\\x1b[2Jb\\x0d\\x09\\x7f");
  EXPECT_EQ(printable(std::string_view("\0", 1), 2000), "\\x00");
  EXPECT_EQ(printable("\xc2\x9b", 2000), "\\xc2\\x9b");           // U+009B: CSI in one character
  EXPECT_EQ(printable("\xe2\x80\xae", 2000), "\\xe2\\x80\\xae");  // U+202E: right to left
  EXPECT_EQ(printable("\xff\xc3", 2000), "\\xff\\xc3");           // not UTF-8
  EXPECT_EQ(printable("\xe2\x82"
                      "a",
                      2000),
            "\\xe2\\x82"
            "a");
}

TEST(Printable, LinesCannotBeForged) {
  EXPECT_EQ(printable("bad\n  next:  rm", 2000), "bad\n           next:  rm");
}

TEST(Printable, LongTextsAreCut) {
  EXPECT_EQ(printable("abcdef", 6), "abcdef");
  EXPECT_EQ(printable("abcdef", 4), "abcd... (2 bytes more)");
  EXPECT_EQ(printable("a\xc3\xa9z", 2), "a\xc3\xa9... (1 bytes more)");  // no character is cut
}

}  // namespace
}  // namespace adder

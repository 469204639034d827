// Files that were made to mislead: each ends in an error that says why. Without LibTorch.
#include <gtest/gtest.h>
#include <slotcon/io/detail/pickle_writer.h>
#include <slotcon/io/detail/pickled_tensors.h>
#include <slotcon/io/detail/safetensors_header.h>
#include <slotcon/io/detail/zip_writer.h>

#include <cstdint>
#include <fstream>
#include <iterator>
#include <sstream>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace {

using slotcon::io::detail::append_number;
using slotcon::io::detail::MemorySource;
using slotcon::io::detail::PickleWriter;
using slotcon::io::detail::TensorRecord;
using slotcon::io::detail::ZipWriter;

template <class Read>
std::string reason(const std::string& bytes, const Read& read) {
  MemorySource file(bytes);
  try {
    read(file);
  } catch (const std::runtime_error& error) {
    return error.what();
  }
  return "read";
}

std::string pth_reason(const std::string& bytes) {
  return reason(bytes, slotcon::io::detail::pth_records);
}

std::string safetensors_reason(const std::string& bytes) {
  return reason(bytes, slotcon::io::detail::safetensors_records);
}

std::string fixture(const std::string& name) {
  std::ifstream file(std::string(SLOTCON_TEST_DATA) + "/io/fixtures/" + name, std::ios::binary);
  return {std::istreambuf_iterator<char>(file), {}};
}

/// Every way to end early, or at a byte too many.
template <class Reason>
void expect_no_other_length(const std::string& whole, const Reason& reason_of) {
  ASSERT_EQ(reason_of(whole), "read");
  for (std::size_t length = 0; length < whole.size(); ++length)
    ASSERT_NE(reason_of(whole.substr(0, length)), "read") << length;
  EXPECT_NE(reason_of(whole + '\0'), "read");
}

// ---- Zip files ----------------------------------------------------------------------------------

using Entries = std::vector<std::pair<std::string, std::string>>;

std::string zip(const Entries& entries) {
  std::ostringstream out;
  ZipWriter writer(out);
  for (const auto& [name, content] : entries) writer.add(name, content);
  writer.finish();
  return out.str();
}

const std::string kEmptyDictionary = "\x80\x02}.";

/// A .pth file of no tensors, and places in it.
struct SmallZip {
  std::string bytes = zip({{"a/data.pkl", kEmptyDictionary}, {"a/version", "3\n"}});
  std::size_t directory = bytes.find("PK\1\2");
  std::size_t second = bytes.find("PK\1\2", directory + 1);  ///< of the directory's entries
  std::size_t large_end = bytes.find("PK\6\6");
  std::size_t locator = bytes.find("PK\6\7");

  template <class Number>
  std::string with(std::size_t place, Number number) const {
    std::string patch, changed = bytes;
    append_number(patch, number);
    return changed.replace(place, patch.size(), patch);
  }
};

TEST(HostileZip, ReadsTheUnchangedFile) { EXPECT_EQ(pth_reason(SmallZip().bytes), "read"); }

TEST(HostileZip, EndsTooEarly) {
  expect_no_other_length(fixture("nested.pth"), pth_reason);
  expect_no_other_length(SmallZip().bytes, pth_reason);
  EXPECT_EQ(pth_reason(""), "it is not a zip file, or is cut off");
  EXPECT_EQ(pth_reason(std::string(100000, 'x')), "it is not a zip file, or is cut off");
}

TEST(HostileZip, LiesAboutItsDirectory) {
  const SmallZip file;
  const auto outside = "its directory lies outside of it";
  EXPECT_EQ(pth_reason(file.with<std::uint64_t>(file.large_end + 40, 1u << 20)), outside);
  EXPECT_EQ(pth_reason(file.with(file.large_end + 40, ~std::uint64_t{0})), outside);
  EXPECT_EQ(pth_reason(file.with(file.large_end + 48, ~std::uint64_t{0})), outside);
  EXPECT_EQ(pth_reason(file.with<std::uint64_t>(file.large_end + 32, 3)),
            "its directory does not have as many entries as it says");
  EXPECT_EQ(pth_reason(file.with(file.locator + 8, ~std::uint64_t{0})),
            "its end record lies outside of it");
  EXPECT_EQ(pth_reason(file.with<std::uint64_t>(file.locator + 8, 0)), "its end record is damaged");
  EXPECT_EQ(pth_reason(file.with<std::uint32_t>(file.directory, 0)), "its directory is damaged");
}

TEST(HostileZip, LiesAboutAnEntry) {
  const SmallZip file;
  const auto extra = file.second + 46 + 9 + 4;  // of a/version: size, packed size, place
  EXPECT_EQ(pth_reason(file.with<std::uint16_t>(file.second + 8, 1)),
            "its entry 'a/version' is encrypted");
  EXPECT_EQ(pth_reason(file.with<std::uint16_t>(file.second + 10, 8)),
            "its entry 'a/version' is compressed, expected a file as torch.save writes it");
  EXPECT_EQ(pth_reason(file.with<std::uint64_t>(extra, 1)),
            "its entry 'a/version' is compressed, expected a file as torch.save writes it");
  EXPECT_EQ(pth_reason(file.with<std::uint64_t>(extra + 16, 0)),
            "its entry 'a/version' is not where the directory says");
  EXPECT_EQ(pth_reason(file.with(extra + 16, ~std::uint64_t{0} - 4)),
            "it ends too early: 30 bytes from byte 18446744073709551611 on are wanted, it has " +
                std::to_string(file.bytes.size()));
  std::string patch;
  append_number<std::uint64_t>(patch, std::uint64_t{1} << 60);
  auto large = file.bytes;
  large.replace(extra, 8, patch).replace(extra + 8, 8, patch);
  EXPECT_EQ(pth_reason(large), "its entry 'a/version' lies outside of it");
}

TEST(HostileZip, HasAnEntryTwiceOrInAnother) {
  EXPECT_EQ(pth_reason(zip({{"a/x", "1"}, {"a/x", "2"}})), "its entry 'a/x' is there twice");
  const auto inner = zip({{"a/data.pkl", kEmptyDictionary}});
  auto outer = zip({{"a/outer", inner}, {"a/data.pkl", kEmptyDictionary}});
  const auto nested = outer.find("PK\3\4", 1);
  std::string patch;
  append_number<std::uint64_t>(patch, nested);
  outer.replace(outer.rfind("PK\6\6") - 8, 8, patch);  // the place of the last entry
  EXPECT_EQ(pth_reason(outer), "its entries overlap");
}

TEST(HostileZip, IsOfAnotherKind) {
  EXPECT_EQ(pth_reason(zip({})), "it has no data.pkl, so torch.save did not write it");
  EXPECT_EQ(pth_reason(zip({{"a/b/data.pkl", kEmptyDictionary}})),
            "it has no data.pkl, so torch.save did not write it");
  EXPECT_EQ(pth_reason(zip({{"a/data.pkl", kEmptyDictionary}, {"a/byteorder", "big"}})),
            "its numbers are big-endian, expected little-endian");
}

// ---- Pickles ------------------------------------------------------------------------------------

/// Why a file with this pickle, and a storage of 8 bytes under the key 0, is not read.
std::string pickle_reason(const std::string& pickle) {
  return pth_reason(zip({{"a/data.pkl", "\x80\x02" + pickle}, {"a/data/0", "12345678"}}));
}

TEST(HostilePickle, EndsTooEarly) {
  EXPECT_EQ(pickle_reason(""), "its pickle ends too early");
  EXPECT_EQ(pickle_reason("}"), "its pickle ends too early");
  EXPECT_EQ(pickle_reason("X\xFF\xFF\xFF\xFFtext"), "its pickle ends too early");
  EXPECT_EQ(pickle_reason("\x8d\xFF\xFF\xFF\xFF\xFF\xFF\xFF\xFFtext"), "its pickle ends too early");
  EXPECT_EQ(pickle_reason("cos"), "its pickle ends too early");
  EXPECT_EQ(pickle_reason("J12"), "its pickle ends too early");
}

TEST(HostilePickle, TakesWhatIsNotThere) {
  for (const auto* pickle : {".", "0.", "2.", "\x85.", "}s.", "}Ns.", "R.", "NR.", "Q.", "a.",
                             "q1.", "N(R.", "N(.", "N(\x85.", "\x93."})
    EXPECT_EQ(pickle_reason(pickle), "its pickle takes a value where there is none") << pickle;
  for (const auto* pickle : {"t.", "}u.", "]e.", "1.", "N\x90."})
    EXPECT_EQ(pickle_reason(pickle), "its pickle goes back to a mark where there is none")
        << pickle;
  EXPECT_EQ(pickle_reason("h\x05."), "its pickle recalls a value that it did not remember");
  EXPECT_EQ(pickle_reason("Nr\xFF\xFF\xFF\xFFj\xFE\xFF\xFF\xFF."),
            "its pickle recalls a value that it did not remember");
}

TEST(HostilePickle, CombinesWhatDoesNotFit) {
  EXPECT_EQ(pickle_reason("}(Nu."), "its pickle has a dictionary with a key without a value");
  for (const auto* pickle : {"NNNs.", "]NNs.", "}Na.", "N(NNu.", "K\1Na."})
    EXPECT_EQ(pickle_reason(pickle), "its pickle puts items into what is no container for them")
        << pickle;
  EXPECT_EQ(pickle_reason("NN\x93."), "its pickle names a function by what is no text");
  EXPECT_EQ(pickle_reason("NQ."), "its pickle refers to what is no storage");
  EXPECT_EQ(pickle_reason(std::string("(X\1\0\0\0xNNNNtQ.", 14)),
            "its pickle refers to what is no storage");
}

TEST(HostilePickle, HasAnInstructionThatTorchSaveDoesNotWrite) {
  EXPECT_EQ(pickle_reason("(ios\nsystem\n."),
            "its pickle has an instruction 105 at byte 3, which torch.save does not write");
  EXPECT_EQ(pickle_reason("\xFF."),
            "its pickle has an instruction 255 at byte 2, which torch.save does not write");
}

TEST(HostilePickle, IsTooLong) {
  EXPECT_EQ(pickle_reason(std::string(1 << 22, 'N')), "its pickle has more than 2^21 instructions");
}

TEST(HostilePickle, IsNoDictionary) {
  EXPECT_EQ(pickle_reason("N."), "expected a dictionary of tensors, got something else");
  EXPECT_EQ(pickle_reason("cos\nsystem\n)R."),
            "expected a dictionary of tensors, got an object of os.system: in Python, save its "
            "state_dict()");
}

const std::string kLongName(1000, 'x');

/// A pickle by calls: what it writes is put between a dictionary's key "w" and its end.
template <class Write>
std::string dictionary_reason(const Write& write) {
  std::ostringstream out;
  PickleWriter pickle(out, 2);
  pickle.dictionary();
  pickle.mark();
  pickle.text("w");
  write(pickle, out);
  pickle.items();
  pickle.end();
  return pth_reason(zip(
      {{"a/data.pkl", out.str()}, {"a/data/0", "12345678"}, {"a/data/" + kLongName, "12345678"}}));
}

TEST(HostilePickle, CallsAProgram) {
  const auto file = ::testing::TempDir() + "slotcon_was_run";
  const auto called = dictionary_reason([&](PickleWriter& pickle, std::ostream&) {
    pickle.global("os", "system");
    pickle.mark();
    pickle.text("touch " + file);
    pickle.tuple();
    pickle.call();
  });
  EXPECT_EQ(called, "read");  // passed over
  EXPECT_FALSE(std::ifstream(file).good());
}

TEST(HostilePickle, IsACircle) {
  const auto circle = dictionary_reason([](PickleWriter&, std::ostream& out) {
    out << "}q\1(";  // a dictionary whose entry k is itself
    out << std::string("X\1\0\0\0kh\1u", 9);
  });
  EXPECT_EQ(circle, "its dictionaries are nested more than 64 deep, or in a circle");
  const auto deep = dictionary_reason(
      [](PickleWriter&, std::ostream& out) { out << "N" << std::string(100000, '\x85'); });
  EXPECT_EQ(deep, "its dictionaries are nested more than 64 deep, or in a circle");
}

TEST(HostilePickle, RepeatsItself) {
  const auto doubled = dictionary_reason([](PickleWriter&, std::ostream& out) {
    out << "]";
    for (int i = 0; i < 60; ++i) out << "q\1h\1\x86";  // a pair of twice the same
  });
  EXPECT_EQ(doubled, "its pickle repeats too much");
  const auto wide = dictionary_reason([](PickleWriter& pickle, std::ostream& out) {
    out << "]q\1(";  // a list of a long name's dictionary, a hundred thousand times
    pickle.dictionary();
    pickle.mark();
    pickle.text(std::string(100000, 'k'));
    out << ")uq\2";
    for (int i = 0; i < 100000; ++i) out << "h\2";
    out << "e";
  });
  EXPECT_EQ(wide, "its pickle repeats too much");
  const auto of_nothing = dictionary_reason([](PickleWriter&, std::ostream& out) {
    out << "](](" << std::string(3000, 'N') << "eq\1";
    for (int i = 0; i < 300; ++i) out << "h\1";
    out << "e";
  });
  EXPECT_EQ(of_nothing, "its pickle repeats too much");
  const auto refused = dictionary_reason([](PickleWriter& pickle, std::ostream& out) {
    out << "](";
    pickle.global("module", "_rebuild" + std::string(1000, 'x'));
    out << ")Rq\1";
    for (int i = 0; i < 30; ++i) out << "h\1";
    out << "e";
  });
  EXPECT_EQ(refused, "its pickle repeats too much");
}

// ---- Tensors in pickles -------------------------------------------------------------------------

struct TensorCase {
  std::vector<std::int64_t> sizes{2}, strides{1};
  std::int64_t offset = 0, elements = 2;
  std::string key = "0", storage = "FloatStorage";
  std::string hooks_and_more = "";  ///< instructions that push further arguments
};

void write_tensor(PickleWriter& pickle, std::ostream& out, const TensorCase& tensor) {
  pickle.global("torch._utils", "_rebuild_tensor_v2");
  pickle.mark();
  pickle.mark();
  pickle.text("storage");
  pickle.global("torch", tensor.storage);
  pickle.text(tensor.key);
  pickle.text("cpu");
  pickle.integer(tensor.elements);
  pickle.tuple();
  pickle.reference();
  pickle.integer(tensor.offset);
  pickle.integers(tensor.sizes);
  pickle.integers(tensor.strides);
  out << tensor.hooks_and_more;
  pickle.tuple();
  pickle.call();
}

/// A list of a tensor and `count` references to it.
std::string repeated(const TensorCase& tensor, int count) {
  return dictionary_reason([&](PickleWriter& pickle, std::ostream& out) {
    out << "](";
    write_tensor(pickle, out, tensor);
    out << "q\1";
    for (int i = 0; i < count; ++i) out << "h\1";
    out << "e";
  });
}

std::string tensor_reason(const TensorCase& tensor) {
  return dictionary_reason(
      [&](PickleWriter& pickle, std::ostream& out) { write_tensor(pickle, out, tensor); });
}

TEST(HostileTensor, ReadsTheUnchangedOne) {
  EXPECT_EQ(tensor_reason({}), "read");
  EXPECT_EQ(tensor_reason({{1, 2, 1}, {5, 1, 9}}), "read");
  EXPECT_EQ(tensor_reason({{3}, {0}}), "read");
  EXPECT_EQ(tensor_reason({{5, 0}, {7, 7}, 2}), "read");
}

TEST(HostileTensor, LiesOutsideOfItsStorage) {
  const auto outside = "its tensor 'w' lies outside of its storage";
  constexpr auto kLarge = std::int64_t{1} << 62;
  EXPECT_EQ(tensor_reason({{3}, {1}}), outside);
  EXPECT_EQ(tensor_reason({{2}, {2}}), outside);
  EXPECT_EQ(tensor_reason({{2}, {kLarge}}), outside);
  EXPECT_EQ(tensor_reason({{2, 2}, {1, kLarge}}), outside);
  EXPECT_EQ(tensor_reason({{kLarge}, {1}}), outside);
  EXPECT_EQ(tensor_reason({{2}, {1}, 1}), outside);
  EXPECT_EQ(tensor_reason({{1}, {1}, 2}), outside);
  EXPECT_EQ(tensor_reason({{1}, {1}, -1}), outside);
  EXPECT_EQ(tensor_reason({{1}, {1}, kLarge}), outside);
  EXPECT_EQ(tensor_reason({{0}, {1}, 3}), outside);
}

TEST(HostileTensor, HasAnImpossibleShape) {
  const auto impossible = "its tensor 'w' has an impossible shape";
  EXPECT_EQ(tensor_reason({{-1}, {1}}), impossible);
  EXPECT_EQ(tensor_reason({{std::int64_t{1} << 40, std::int64_t{1} << 40}, {0, 0}}), impossible);
  EXPECT_EQ(tensor_reason({{0, std::int64_t{1} << 40, std::int64_t{1} << 40}, {0, 0, 0}}),
            impossible);
  EXPECT_EQ(tensor_reason({std::vector<std::int64_t>(65, 1), std::vector<std::int64_t>(65, 1)}),
            "it has a tensor of more than 64 dimensions");
  EXPECT_EQ(tensor_reason({{2}, {1, 1}}), "its tensor 'w' has not as many strides as dimensions");
}

TEST(HostileTensor, GoesBackwards) {
  const auto backwards = "its tensor 'w' has a negative stride";
  EXPECT_EQ(tensor_reason({{2}, {-1}, 1}), backwards);
  EXPECT_EQ(tensor_reason({{1}, {-1}}), backwards);
  EXPECT_EQ(tensor_reason({{0}, {-1}}), backwards);
}

TEST(HostileTensor, IsSaidToBeWhereItIsNot) {
  TensorCase tensor;
  tensor.elements = 3;
  EXPECT_EQ(tensor_reason(tensor), "data/0 of 'w' has 2 elements, expected 3");
  tensor.elements = -1;
  EXPECT_EQ(tensor_reason(tensor), "data/0 of 'w' has 2 elements, expected -1");
  tensor.elements = 2;
  tensor.storage = "DoubleStorage";
  EXPECT_EQ(tensor_reason(tensor), "data/0 of 'w' has 1 elements, expected 2");
  tensor.key = "1";
  EXPECT_EQ(tensor_reason(tensor), "its tensor 'w' lies in data/1, which is missing");
  tensor.key = "../data.pkl";
  EXPECT_EQ(tensor_reason(tensor), "its tensor 'w' lies in data/../data.pkl, which is missing");
}

TEST(HostileTensor, TakesMoreMemoryThanItsFile) {
  EXPECT_EQ(tensor_reason({{std::int64_t{1} << 40}, {0}}),
            "its tensors take more than eight times its size");
  EXPECT_EQ(repeated({{1000}, {0}}, 30), "its tensors take more than eight times its size");
}

TEST(HostileTensor, IsRepeated) {
  const std::string reason = "its pickle repeats too much";
  EXPECT_EQ(repeated({{0}, {1}}, 30), "read");
  EXPECT_EQ(repeated({{0}, {1}}, 10000), reason);
  EXPECT_EQ(repeated({{0}, {1}, 0, 2, "0", kLongName}, 30), reason);
  EXPECT_EQ(repeated({{0}, {1}, 0, 2, kLongName}, 30), reason);
  const std::vector<std::int64_t> dimensions(60, 0);
  EXPECT_EQ(repeated({dimensions, dimensions}, 50), reason);
  const auto many_hooks =
      "\x89](" + std::string(3000, 'N') + "e]q\2(" + std::string(3000, 'N') + "e";
  EXPECT_EQ(repeated({{0}, {1}, 0, 2, "0", "FloatStorage", many_hooks}, 30), reason);
}

TEST(HostileTensor, HasTheNameOfAnother) {
  const auto twice = dictionary_reason([](PickleWriter& pickle, std::ostream& out) {
    write_tensor(pickle, out, {});
    pickle.text("w");
    write_tensor(pickle, out, {});
  });
  EXPECT_EQ(twice, "it has two tensors of the name 'w'");
  const auto dotted = dictionary_reason([](PickleWriter& pickle, std::ostream& out) {
    out << "](";
    write_tensor(pickle, out, {});
    out << "e";
    pickle.text("w.0");
    write_tensor(pickle, out, {});
  });
  EXPECT_EQ(dotted, "it has two tensors of the name 'w.0'");
}

TEST(HostileTensor, HasOtherArguments) {
  const auto expected = "its pickle describes a tensor as torch.save does not";
  for (const auto* arguments : {")", "N\x85", "](NNe\x85", "}\x86", "NN\x87"}) {
    const auto odd = dictionary_reason([&](PickleWriter& pickle, std::ostream& out) {
      pickle.global("torch._utils", "_rebuild_tensor_v2");
      out << arguments << "R";
    });
    EXPECT_NE(odd, "read") << arguments;
  }
  const auto no_tuple = dictionary_reason([](PickleWriter& pickle, std::ostream& out) {
    pickle.global("torch._utils", "_rebuild_tensor_v2");
    out << "NR";
  });
  EXPECT_EQ(no_tuple, expected);
  const auto no_tensor = dictionary_reason([](PickleWriter& pickle, std::ostream& out) {
    pickle.global("torch._utils", "_rebuild_parameter");
    out << "N\x85R";
  });
  EXPECT_EQ(no_tensor, expected);
  const auto no_type = dictionary_reason([](PickleWriter& pickle, std::ostream& out) {
    pickle.global("torch._tensor", "_rebuild_from_type_v2");
    out << ")R";
  });
  EXPECT_EQ(no_type, expected);
}

/// Each call of _rebuild_from_type_v2 names the next one: to be followed once, not to the end.
TEST(HostileTensor, IsMadeByCallsWithinCalls) {
  std::ostringstream out;
  PickleWriter pickle(out, 2);
  pickle.dictionary();
  pickle.mark();
  pickle.text("w");
  pickle.global("torch._tensor", "_rebuild_from_type_v2");
  out << "q\1h\1N)\x87";  // (itself, None, ())
  out << "q\2"
      << "0h\1Nh\2\x87";  // (itself, None, what was above)
  out << "R";
  pickle.items();
  pickle.end();
  const auto bytes = zip({{"a/data.pkl", out.str()}});
  MemorySource file(bytes);
  const auto records = slotcon::io::detail::pth_records(file);
  ASSERT_EQ(records.size(), 1U);
  EXPECT_EQ(records[0].refused,
            "is made by torch._tensor._rebuild_from_type_v2, expected a dense tensor of an "
            "ordinary type");
}

// ---- safetensors --------------------------------------------------------------------------------

std::string safetensors(const std::string& header, const std::string& data = "") {
  std::string bytes;
  append_number<std::uint64_t>(bytes, header.size());
  return bytes + header + data;
}

/// Why a file with this header before eight bytes is not read.
std::string header_reason(const std::string& header) {
  return safetensors_reason(safetensors(header, "12345678"));
}

TEST(HostileSafetensors, ReadsTheUnchangedFile) {
  EXPECT_EQ(header_reason(R"({"w":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}})"), "read");
  EXPECT_EQ(
      header_reason(R"( { "w" : {"shape" :[ 2,1 ],"data_offsets": [0 , 8],"dtype":"F32"} } )"),
      "read");
  EXPECT_EQ(safetensors_reason(safetensors("{}")), "read");
}

TEST(HostileSafetensors, EndsTooEarlyOrTooLate) {
  expect_no_other_length(fixture("types.safetensors"), safetensors_reason);
}

TEST(HostileSafetensors, LiesAboutItsHeader) {
  EXPECT_EQ(safetensors_reason("1234"),
            "it ends too early: 8 bytes from byte 0 on are wanted, it has 4");
  EXPECT_EQ(safetensors_reason(std::string(8, '\xFF')),
            "its header is said to have 18446744073709551615 bytes, the whole file has 8");
  EXPECT_EQ(safetensors_reason(std::string("\x04\0\0\0\0\0\0\0{}", 10)),
            "its header is said to have 4 bytes, the whole file has 10");
}

TEST(HostileSafetensors, HasAHeaderThatIsNoJson) {
  EXPECT_EQ(header_reason(""), "expected a '{' at byte 0 of its header");
  EXPECT_EQ(header_reason("[]"), "expected a '{' at byte 0 of its header");
  EXPECT_EQ(header_reason("{} x"), "expected the end at byte 3 of its header");
  EXPECT_EQ(header_reason(R"({"w")"), "expected a ':' at byte 4 of its header");
  EXPECT_EQ(header_reason(R"({"w)"), "expected the end of a text at byte 3 of its header");
  EXPECT_EQ(header_reason(R"({"\x)"), "expected an escaped character at byte 3 of its header");
  EXPECT_EQ(header_reason("{\"\xFF\""), "expected a character at byte 2 of its header");
  EXPECT_EQ(header_reason("{\"\n\""), "expected a character at byte 2 of its header");
  EXPECT_EQ(header_reason(R"({"\u12g4")"),
            "expected four hexadecimal digits at byte 6 of its header");
  EXPECT_EQ(header_reason(R"({"\ud800")"),
            "expected the other half of an escaped character at byte 8 of its header");
  EXPECT_EQ(header_reason(R"({"w":{"shape":[-1]}})"),
            "expected an integer that is not negative at byte 15 of its header");
  EXPECT_EQ(header_reason(R"({"w":{"shape":[1.5]}})"), "expected a ']' at byte 16 of its header");
  EXPECT_EQ(header_reason(R"({"w":{"shape":[9223372036854775808]}})"),
            "expected an integer below 2^63 at byte 33 of its header");
  EXPECT_EQ(header_reason("{\"w\":{\"shape\":" + std::string(100000, '[')),
            "expected an integer that is not negative at byte 15 of its header");
}

TEST(HostileSafetensors, DescribesATensorOddly) {
  const auto tensor = [](const std::string& fields) {
    return header_reason("{\"w\":{" + fields + "}}");
  };
  EXPECT_EQ(tensor(R"("dtype":"F32","shape":[2])"),
            "its tensor 'w' lacks dtype, shape or data_offsets");
  EXPECT_EQ(tensor(R"("dtype":"F32","dtype":"F32")"), "its tensor 'w' has two entries dtype");
  EXPECT_EQ(tensor(R"("size":1)"),
            "expected dtype, shape or data_offsets at byte 13 of its header");
  EXPECT_EQ(tensor(R"("dtype":"F32","shape":[2],"data_offsets":[8])"),
            "its tensor 'w' has no place");
  EXPECT_EQ(tensor(R"("dtype":"F32","shape":[2],"data_offsets":[8,0])"),
            "its tensor 'w' has no place");
  EXPECT_EQ(tensor(R"("dtype":"F32","shape":[3],"data_offsets":[0,8])"),
            "its tensor 'w' has 8 bytes, its shape says another number");
  EXPECT_EQ(tensor(R"("dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,8])"),
            "its tensor 'w' has an impossible shape");
  EXPECT_EQ(tensor(R"("dtype":"F32","shape":[4611686018427387904],"data_offsets":[0,8])"),
            "its tensor 'w' has 8 bytes, its shape says another number");
}

TEST(HostileSafetensors, HasTensorsThatOverlapOrLeaveGaps) {
  const auto pair = [](const std::string& name, const std::string& first,
                       const std::string& second) {
    const std::string fields = "\":{\"dtype\":\"U8\",\"shape\":[4],\"data_offsets\":[";
    return header_reason("{\"a" + fields + first + "]},\"" + name + fields + second + "]}}");
  };
  EXPECT_EQ(pair("b", "4,8", "0,4"), "read");
  EXPECT_EQ(pair("a", "0,4", "4,8"), "it has two entries of the name 'a'");
  EXPECT_EQ(pair("b", "0,4", "0,4"), "its tensors overlap or leave gaps");
  EXPECT_EQ(pair("b", "0,4", "3,7"), "its tensors overlap or leave gaps");
  EXPECT_EQ(pair("b", "0,4", "5,9"), "its tensors overlap or leave gaps");
  EXPECT_EQ(header_reason(R"({"w":{"dtype":"U8","shape":[4],"data_offsets":[0,4]}})"),
            "its tensors have 4 bytes, after the header there are 8");
  EXPECT_EQ(header_reason(R"({"w":{"dtype":"U8","shape":[16],"data_offsets":[0,16]}})"),
            "its tensors have 16 bytes, after the header there are 8");
}

TEST(SafetensorsHeader, ReadsEscapedNames) {
  const auto bytes = safetensors(
      R"({"\"\\\/\b\f\n\r\t\u0041\u00e9\u20AC\ud83d\ude00é":{"dtype":"U8","shape":[],"data_offsets":[0,1]}})",
      "x");
  MemorySource file(bytes);
  const auto records = slotcon::io::detail::safetensors_records(file);
  ASSERT_EQ(records.size(), 1U);
  EXPECT_EQ(records[0].name, "\"\\/\b\f\n\r\tA\u00e9\u20AC\U0001F600\u00e9");
}

}  // namespace

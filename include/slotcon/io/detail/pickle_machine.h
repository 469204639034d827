// Reads a pickle without running anything that it asks for.
#pragma once

#include <slotcon/io/detail/byte_cursor.h>
#include <slotcon/io/detail/pickle_value.h>

#include <cstdint>
#include <deque>
#include <stdexcept>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace slotcon::io::detail {

/// The stack machine of Python's pickle, protocols 2 to 5, over plain values.
///
/// Nothing is imported or called: functions and classes are names; what they would make is a
/// kObject that remembers the name, but for those that rebuild a tensor or an ordered dictionary.
/// A pickle has at most 2^21 instructions, each of which adds at most one value. Throws
/// std::runtime_error with the bare reason.
class PickleMachine {
 public:
  /// Refers to `pickle` for as long as its values are used.
  explicit PickleMachine(std::string_view pickle) : cursor_("its pickle", pickle) {}

  /// The pickled value; it lives as long as the machine.
  const PickleValue& run() {
    for (std::int64_t count = 0; count < kMaxInstructions; ++count) {
      const auto place = cursor_.place();
      const auto code = cursor_.number<std::uint8_t>();
      if (code == '.') return *pop();
      if (!build(code) && !remember(code) && !combine(code))
        fail("its pickle has an instruction " + std::to_string(code) + " at byte " +
             std::to_string(place) + ", which torch.save does not write");
    }
    fail("its pickle has more than 2^21 instructions");
  }

 private:
  using Kind = PickleValue::Kind;
  using Values = std::vector<PickleValue*>;
  static constexpr std::int64_t kMaxInstructions = std::int64_t{1} << 21;

  [[noreturn]] static void fail(const std::string& reason) { throw std::runtime_error(reason); }

  // ---- Instructions, by their codes in Python's pickletools ----------------------------------

  /// Values that stand in the pickle.
  bool build(std::uint8_t code) {
    switch (code) {
      case 'N':
        return push(Kind::kOther);
      case 0x88:  // True
        return push_integer(1, Kind::kBool);
      case 0x89:  // False
        return push_integer(0, Kind::kBool);
      case 'J':
        return push_integer(cursor_.number<std::int32_t>());
      case 'K':
        return push_integer(cursor_.number<std::uint8_t>());
      case 'M':
        return push_integer(cursor_.number<std::uint16_t>());
      case 0x8a:
        return push_long(cursor_.take(cursor_.number<std::uint8_t>()));
      case 'G':
        return skip(8);
      case 'X':
        return push_text(cursor_.take(cursor_.number<std::uint32_t>()));
      case 0x8c:
        return push_text(cursor_.take(cursor_.number<std::uint8_t>()));
      case 0x8d:
        return push_text(cursor_.take(cursor_.number<std::uint64_t>()));
      case 'U':
      case 'C':
        return skip(cursor_.number<std::uint8_t>());
      case 'T':
      case 'B':
        return skip(cursor_.number<std::uint32_t>());
      case 0x8e:
      case 0x96:
        return skip(cursor_.number<std::uint64_t>());
      case ')':
        return push(Kind::kTuple);
      case ']':
        return push(Kind::kList);
      case '}':
        return push(Kind::kDict);
      case 0x8f:  // a set
        return push(Kind::kOther);
      case 'c':
        return push_global();
      default:
        return false;
    }
  }

  /// The frame around the values, and the memo.
  bool remember(std::uint8_t code) {
    switch (code) {
      case 0x80:  // the protocol
        cursor_.take(1);
        return true;
      case 0x95:  // a frame
        cursor_.take(8);
        return true;
      case '(':
        marks_.push_back(stack_.size());
        return true;
      case '0':
        pop();
        return true;
      case '1':
        pop_to_mark();
        return true;
      case '2':
        return push(top());
      case 'q':
        memo_[cursor_.number<std::uint8_t>()] = top();
        return true;
      case 'r':
        memo_[cursor_.number<std::uint32_t>()] = top();
        return true;
      case 0x94:
        memo_[static_cast<std::uint32_t>(memo_.size())] = top();
        return true;
      case 'h':
        return push(remembered(cursor_.number<std::uint8_t>()));
      case 'j':
        return push(remembered(cursor_.number<std::uint32_t>()));
      default:
        return false;
    }
  }

  /// What takes values off the stack.
  bool combine(std::uint8_t code) {
    switch (code) {
      case 0x85:
      case 0x86:
      case 0x87:
        return push(Kind::kTuple, pop_several(code - 0x84u));
      case 't':
        return push(Kind::kTuple, pop_to_mark());
      case 'a':
        return append(Kind::kList, pop_several(1));
      case 'e':
        return append(Kind::kList, pop_to_mark());
      case 's':
        return append(Kind::kDict, pop_several(2));
      case 'u':
        return append(Kind::kDict, pop_to_mark());
      case 0x90:  // into a set
        return append(Kind::kOther, pop_to_mark());
      case 0x91:  // a frozen set
        pop_to_mark();
        return push(Kind::kOther);
      case 'b':  // attributes of an object
        pop();
        return true;
      case 'Q':
        return push(Kind::kStorage, storage(*pop()));
      case 0x93:
        return push_global_of_stack();
      case 'R':
      case 0x81:
        return push_made(pop_several(2));
      case 0x92:
        return push_made(pop_several(3));
      default:
        return false;
    }
  }

  // ---- The stack -------------------------------------------------------------------------------

  bool push(PickleValue* value) {
    stack_.push_back(value);
    return true;
  }

  PickleValue& add(Kind kind) {
    values_.emplace_back().kind = kind;
    push(&values_.back());
    return values_.back();
  }

  bool push(Kind kind, Values items = {}) {
    add(kind).items = std::move(items);
    return true;
  }

  bool push_integer(std::int64_t integer, Kind kind = Kind::kInteger) {
    add(kind).integer = integer;
    return true;
  }

  /// Little-endian with a sign; of more than 64 bits no tensor needs the value.
  bool push_long(std::string_view bytes) {
    if (bytes.size() > sizeof(std::int64_t)) return push(Kind::kOther);
    std::uint64_t number = !bytes.empty() && (bytes.back() & 0x80) != 0 ? ~std::uint64_t{0} : 0;
    for (auto byte = bytes.rbegin(); byte != bytes.rend(); ++byte)
      number = number << 8 | static_cast<std::uint8_t>(*byte);
    return push_integer(static_cast<std::int64_t>(number));
  }

  bool push_text(std::string_view text) {
    add(Kind::kText).text = text;
    return true;
  }

  bool skip(std::uint64_t bytes) {
    cursor_.take(bytes);
    return push(Kind::kOther);
  }

  /// The number of values that may be taken: those above the last mark.
  std::size_t above_mark() const { return stack_.size() - (marks_.empty() ? 0 : marks_.back()); }

  PickleValue* top() const {
    if (above_mark() == 0) fail("its pickle takes a value where there is none");
    return stack_.back();
  }

  PickleValue* pop() { return pop_several(1).front(); }

  Values pop_several(std::size_t count) {
    if (above_mark() < count) fail("its pickle takes a value where there is none");
    Values taken(stack_.end() - static_cast<std::ptrdiff_t>(count), stack_.end());
    stack_.resize(stack_.size() - count);
    return taken;
  }

  Values pop_to_mark() {
    if (marks_.empty()) fail("its pickle goes back to a mark where there is none");
    auto taken = pop_several(above_mark());
    marks_.pop_back();
    return taken;
  }

  PickleValue* remembered(std::uint32_t index) const {
    const auto found = memo_.find(index);
    if (found == memo_.end()) fail("its pickle recalls a value that it did not remember");
    return found->second;
  }

  // ---- Values from values ----------------------------------------------------------------------

  /// Puts items into the container at the top; what an object would do with them is not known.
  bool append(Kind kind, const Values& items) {
    auto& container = *top();
    if (container.is(Kind::kObject)) return true;
    if (!container.is(kind)) fail("its pickle puts items into what is no container for them");
    if (kind == Kind::kDict && items.size() % 2 != 0)
      fail("its pickle has a dictionary with a key without a value");
    if (kind != Kind::kOther)
      container.items.insert(container.items.end(), items.begin(), items.end());
    return true;
  }

  bool push_global() {
    const auto module = cursor_.take_until('\n');
    auto& value = add(Kind::kGlobal);
    value.text = module;
    value.name = cursor_.take_until('\n');
    return true;
  }

  bool push_global_of_stack() {
    const auto names = pop_several(2);
    if (!names[0]->is(Kind::kText) || !names[1]->is(Kind::kText))
      fail("its pickle names a function by what is no text");
    auto& value = add(Kind::kGlobal);
    value.text = names[0]->text;
    value.name = names[1]->text;
    return true;
  }

  /// What is said of a storage: ('storage', class, key, device, number of elements).
  static const Values& storage(const PickleValue& id) {
    if (id.items.size() != 5 || !id.items[0]->is(Kind::kText) || id.items[0]->text != "storage")
      fail("its pickle refers to what is no storage");
    return id.items;
  }

  /// What `callee(*arguments)` is. `call` is [callee, arguments] or has keyword arguments as well.
  bool push_made(const Values& call) {
    auto* callee = call[0];
    auto* arguments = call[1];
    if (callee->is_global("torch._tensor", "_rebuild_from_type_v2")) {
      callee = &arguments->item(0, Kind::kGlobal);
      arguments = &arguments->item(2, Kind::kTuple);
    }
    if (callee->is_global("torch._utils", "_rebuild_tensor_v2"))
      return push(Kind::kTensor, {arguments});
    if (callee->is_global("torch._utils", "_rebuild_parameter"))
      return push(&arguments->item(0, Kind::kTensor));
    if (callee->is_global("torch.jit._pickle", "restore_type_tag") && !arguments->items.empty())
      return push(arguments->items[0]);
    if (callee->is_global("collections", "OrderedDict") ||
        callee->is_global("collections", "defaultdict"))
      return push(Kind::kDict);
    auto& object = add(Kind::kObject);
    object.text = callee->text;
    object.name = callee->name;
    return true;
  }

  ByteCursor cursor_;
  std::deque<PickleValue> values_;  // which stay where they are
  Values stack_;
  std::vector<std::size_t> marks_;
  std::unordered_map<std::uint32_t, PickleValue*> memo_;
};

}  // namespace slotcon::io::detail

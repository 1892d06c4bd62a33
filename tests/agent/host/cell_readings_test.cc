// SPDX-License-Identifier: Apache-2.0
#include "agent/host/cell_readings.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdint>
#include <new>
#include <string>

#include "agent/outbox/cell_image.h"
#include "agent/outbox/value_bytes.h"

namespace brood {
namespace {

// A page of this process, whose memory the readings look at.
class Page {
 public:
  Page()
      : size_(static_cast<size_t>(::sysconf(_SC_PAGESIZE))),
        memory_(
            ::mmap(nullptr, size_, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0)) {}
  ~Page() { ::munmap(memory_, size_); }
  Page(const Page&) = delete;
  Page& operator=(const Page&) = delete;

  // That the address is one of no memory, and stays so for as long as this lives.
  void Forbid() const { ASSERT_EQ(::mprotect(memory_, size_, PROT_NONE), 0); }
  CellImage* image() const { return new (memory_) CellImage; }
  internal::v1::Cell cell() const {
    internal::v1::Cell cell;
    cell.set_kind(v1::CELL_KIND_PRIVATE);
    cell.set_image_address(reinterpret_cast<uintptr_t>(memory_));
    return cell;
  }

 private:
  size_t size_;
  void* memory_;
};

v1::OutsideReading Read(const internal::v1::Cell& cell, pid_t pid) {
  return ReadOutside(cell, CellProcess{"", pid, 0}, [](uint64_t job_key) {
    return job_key == 0 ? std::string() : "job-" + std::to_string(job_key);
  });
}

void ExpectNotThere(const v1::OutsideReading& reading) {
  EXPECT_EQ(reading.error(), "");
  EXPECT_FALSE(reading.has_value());
  EXPECT_EQ(reading.version(), 0u);
}

TEST(CellReadingsTest, ACellIsToldWithItsVersionAndWriter) {
  const Page page;
  CellImage* const image = page.image();
  image->value_kind = static_cast<uint32_t>(ValueKind::kInt);
  image->scalar = 42;
  image->version = 3;
  image->writer = 7;
  const v1::OutsideReading reading = Read(page.cell(), ::getpid());
  EXPECT_EQ(reading.error(), "");
  EXPECT_EQ(reading.value().int_value(), 42);
  EXPECT_EQ(reading.version(), 3u);
  EXPECT_EQ(reading.writer(), "job-7");
}

TEST(CellReadingsTest, WhereTheMemoryHoldsNoCellItIsNotThereAndNotUnknown) {
  const Page page;  // zeros, as before the other process made a cell here
  ExpectNotThere(Read(page.cell(), ::getpid()));
}

TEST(CellReadingsTest, WhereThereIsNoMemoryTheCellIsNotThereAndNotUnknown) {
  const Page page;
  page.Forbid();
  ExpectNotThere(Read(page.cell(), ::getpid()));
}

TEST(CellReadingsTest, ACellThatIsBeingChangedAllTheTimeIsUnknown) {
  const Page page;
  page.image()->sequence = 1;
  EXPECT_NE(Read(page.cell(), ::getpid()).error(), "");
}

TEST(CellReadingsTest, OfAProcessThatHasEndedACellIsUnknown) {
  const Page page;
  page.image();
  const pid_t pid = ::fork();
  if (pid == 0) ::_exit(0);
  ASSERT_EQ(::waitpid(pid, nullptr, 0), pid);
  EXPECT_NE(Read(page.cell(), pid).error().find("has ended"), std::string::npos);
}

TEST(CellReadingsTest, AKindThatIsNoneIsNotReadAsBytes) {
  const Page page;
  CellImage* const image = page.image();
  image->value_kind = 99;
  image->data = reinterpret_cast<uintptr_t>(image);
  image->size = sizeof(CellImage);
  const v1::OutsideReading reading = Read(page.cell(), ::getpid());
  EXPECT_EQ(reading.error(), "");
  EXPECT_TRUE(reading.value().has_null_value());
}

}  // namespace
}  // namespace brood

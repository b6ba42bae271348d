// Candidates and what their selections share, for RDataFrame.
#pragma once

#include <ROOT/RDataFrame.hxx>
#include <ROOT/RVec.hxx>
#include <TH1D.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <memory>
#include <set>
#include <string>
#include <vector>

using ROOT::RVec;
using Doubles = const RVec<double> &;
using Floats = const RVec<float> &;
using Bits = std::uint64_t;

constexpr double NaN = std::numeric_limits<double>::quiet_NaN();
constexpr double MUON_MASS = 0.1056583755; // GeV

// Values of a candidate's variables, and one bit for each requirement that it fails.
struct Candidate {
   std::array<double, 40> values;
   Bits failed = 0;

   void require(int requirement, bool met) { failed |= Bits(!met) << requirement; }
};
using Candidates = RVec<Candidate>;

// Whether a path has fired whose name begins with a prefix.
inline bool fired(const RVec<std::string> &names, const RVec<int> &decisions, const char *prefix)
{
   const std::size_t length = std::char_traits<char>::length(prefix);
   for (std::size_t i = 0; i < names.size(); ++i)
      if (decisions[i] == 1 && names[i].compare(0, length, prefix, length) == 0)
         return true;
   return false;
}

// Position of the survivor with the smallest value, the first of equals; -1 without survivors.
inline int best_of(const Candidates &candidates, int variable)
{
   int best = -1;
   for (int i = 0; i < int(candidates.size()); ++i)
      if (!candidates[i].failed && (best < 0 || candidates[i].values[variable] < candidates[best].values[variable]))
         best = i;
   return best;
}

// Distribution of a variable: of the candidates that fail nothing but what is left out, or of the
// best candidates (in a category, if it is not negative).
struct Booking {
   std::string name;
   int variable, bins;
   double start, stop;
   bool of_best;
   Bits left_out;
   int category;
};

// Action that fills all histograms and the cutflow of a selection. It is one action because each
// needs compilation, and because dozens of nodes cost time in every event.
class Filling : public ROOT::Detail::RDF::RActionImpl<Filling> {
public:
   using Result_t = std::vector<TH1D>; // as booked; events and candidates by the number of steps passed

   Filling(const std::vector<Booking> &bookings, const std::vector<Bits> &steps, int best, int category, unsigned slots)
      : bookings_(bookings), steps_(steps), best_(best), category_(category)
   {
      Result_t empty;
      for (const auto &b : bookings_)
         empty.emplace_back(b.name.c_str(), "", b.bins, b.start, b.stop);
      const int bins = steps_.size() + 1;
      for (const char *name : {"events", "candidates"})
         empty.emplace_back(name, "", bins, -0.5, bins - 0.5);
      for (auto &histogram : empty)
         histogram.SetDirectory(nullptr);
      *result_ = empty;
      slots_.assign(slots, empty);
   }

   std::shared_ptr<Result_t> GetResultPtr() const { return result_; }
   void Initialize() {}
   void InitTask(TTreeReader *, unsigned) {}
   std::string GetActionName() const { return "Filling"; }

   void Exec(unsigned slot, const Candidates &candidates)
   {
      auto &histograms = slots_[slot];
      std::size_t furthest = 0;
      for (const auto &candidate : candidates) {
         std::size_t step = 0;
         while (step < steps_.size() && !(candidate.failed & steps_[step]))
            ++step;
         histograms[bookings_.size() + 1].Fill(step);
         furthest = std::max(furthest, step);
      }
      histograms[bookings_.size()].Fill(furthest);
      const int best = best_of(candidates, best_);
      for (std::size_t i = 0; i < bookings_.size(); ++i) {
         const auto &booking = bookings_[i];
         const auto fill = [&](const Candidate &candidate) {
            // rounded as boost-histogram does, since whole numbers may lie on the edge of a bin
            const double z = (candidate.values[booking.variable] - booking.start) / (booking.stop - booking.start);
            histograms[i].AddBinContent(z < 1 ? (z >= 0 ? 1 + int(z * booking.bins) : 0) : booking.bins + 1);
         };
         if (!booking.of_best) {
            for (const auto &candidate : candidates)
               if (!(candidate.failed & ~booking.left_out))
                  fill(candidate);
         } else if (best >= 0 && (booking.category < 0 || candidates[best].values[category_] == booking.category))
            fill(candidates[best]);
      }
   }

   void Finalize()
   {
      for (const auto &histograms : slots_)
         for (std::size_t i = 0; i < histograms.size(); ++i)
            (*result_)[i].Add(&histograms[i]);
   }

private:
   std::vector<Booking> bookings_;
   std::vector<Bits> steps_;
   int best_, category_;
   std::shared_ptr<Result_t> result_ = std::make_shared<Result_t>();
   std::vector<Result_t> slots_;
};

// Numbers of events and candidates at a node, and the luminosity sections (run << 32 | lumi).
struct Counts {
   ULong64_t events = 0, candidates = 0;
   std::set<ULong64_t> sections;
};

class Counting : public ROOT::Detail::RDF::RActionImpl<Counting> {
public:
   using Result_t = Counts;

   explicit Counting(unsigned slots) : slots_(slots) {}

   std::shared_ptr<Counts> GetResultPtr() const { return result_; }
   void Initialize() {}
   void InitTask(TTreeReader *, unsigned) {}
   std::string GetActionName() const { return "Counting"; }

   void Exec(unsigned slot, ULong64_t section, ULong64_t candidates)
   {
      auto &counts = slots_[slot];
      ++counts.events;
      counts.candidates += candidates;
      counts.sections.insert(section);
   }

   void Finalize()
   {
      for (const auto &counts : slots_) {
         result_->events += counts.events;
         result_->candidates += counts.candidates;
         result_->sections.insert(counts.sections.begin(), counts.sections.end());
      }
   }

private:
   std::shared_ptr<Counts> result_ = std::make_shared<Counts>();
   std::vector<Counts> slots_;
};

// Functions that Python calls, so that each template is compiled once.
inline auto book(ROOT::RDF::RNode node, const std::vector<Booking> &bookings, const std::vector<Bits> &steps, int best,
                 int category)
{
   return node.Book<Candidates>(Filling(bookings, steps, best, category, node.GetNSlots()), {"candidates"});
}

inline auto count(ROOT::RDF::RNode node)
{
   return node.Book<ULong64_t, ULong64_t>(Counting(node.GetNSlots()), {"section", "n_candidates"});
}

inline double delta_r(double eta1, double phi1, double eta2, double phi2)
{
   double phi = std::fmod(phi1 - phi2 + M_PI, 2 * M_PI);
   phi += (phi < 0 ? 2 * M_PI : 0) - M_PI;
   return std::sqrt(phi * phi + (eta1 - eta2) * (eta1 - eta2));
}

struct Momentum {
   double e, x, y, z;

   Momentum operator+(const Momentum &p) const { return {e + p.e, x + p.x, y + p.y, z + p.z}; }
   Momentum operator-(const Momentum &p) const { return {e - p.e, x - p.x, y - p.y, z - p.z}; }
   double mass() const { return std::sqrt(std::max(e * e - x * x - y * y - z * z, 0.)); }
};

inline Momentum momentum(double pt, double eta, double phi, double mass = MUON_MASS)
{
   const double z = pt * std::sinh(eta);
   return {std::sqrt(pt * pt + z * z + mass * mass), pt * std::cos(phi), pt * std::sin(phi), z};
}

// First object with the same pT, in the precision of the objects; -1 if there is none.
template <typename T>
int first_match(double pt, const RVec<T> &pts)
{
   const auto found = std::find(pts.begin(), pts.end(), T(pt));
   return found == pts.end() ? -1 : int(found - pts.begin());
}

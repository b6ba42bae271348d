// τ → 3μ as processors/tau3mu.py selects it, for the eras of 2017.
#include "candidates.h"

struct Vector {
   double x, y, z;

   Vector operator-(const Vector &v) const { return {x - v.x, y - v.y, z - v.z}; }
   Vector operator*(double a) const { return {a * x, a * y, a * z}; }
   double dot(const Vector &v) const { return x * v.x + y * v.y + z * v.z; }
   double length() const { return std::sqrt(dot(*this)); }
};

inline Candidates evaluate(
   Doubles mass, Doubles chi2, Doubles ndof, Doubles vertex_x, Doubles vertex_y, Doubles vertex_z, Doubles primary_x,
   Doubles primary_y, Doubles primary_z, Doubles flight, Doubles significance, Doubles triplet_pt, Doubles triplet_eta,
   Doubles triplet_phi, Doubles pt1, Doubles eta1, Doubles phi1, Doubles pt2, Doubles eta2, Doubles phi2, Doubles pt3,
   Doubles eta3, Doubles phi3, Doubles dr1, Doubles dr2, Doubles dr3, Floats muon_pt, Doubles muon_charge,
   Doubles muon_vz, Doubles is_global, Doubles is_pf, Doubles is_soft, Doubles pt_error, Doubles eta_error,
   Doubles phi_error, Doubles track_pt, Doubles track_eta, Doubles track_phi, Doubles track_dxy, Doubles track_dz,
   Doubles track_dxy_error)
{
   Candidates candidates(mass.size());
   for (std::size_t i = 0; i < mass.size(); ++i) {
      auto &c = candidates[i];
      auto *v = c.values.data();
      const double pt[]{pt1[i], pt2[i], pt3[i]}, eta[]{eta1[i], eta2[i], eta3[i]}, phi[]{phi1[i], phi2[i], phi3[i]};
      const double trigger_dr[]{dr1[i], dr2[i], dr3[i]};
      int muon[3];
      for (int leg = 0; leg < 3; ++leg)
         muon[leg] = first_match(pt[leg], muon_pt);
      const auto of_muon = [&](int leg, Doubles values) { return muon[leg] < 0 ? NaN : values[muon[leg]]; };

      v[VERTEX_CHI2] = chi2[i];
      v[FLIGHT_SIGNIFICANCE] = significance[i];
      v[MASS] = mass[i];
      c.require(GOOD_VERTEX, chi2[i] >= 0);
      c.require(DISPLACED, significance[i] >= 2);
      c.require(IN_MASS, mass[i] > 1.62 && mass[i] < 2.02);

      double charge[3];
      Momentum momenta[3], total{};
      for (int leg = 0; leg < 3; ++leg) {
         const double abs_eta = v[MU1_ABS_ETA + leg] = std::abs(eta[leg]);
         v[MU1_PT + leg] = pt[leg];
         v[MU1_TRIGGER_DR + leg] = trigger_dr[leg];
         charge[leg] = of_muon(leg, muon_charge);
         momenta[leg] = momentum(pt[leg], eta[leg], phi[leg]);
         total = total + momenta[leg];
         c.require(MU1_IDENTIFIED + leg, of_muon(leg, is_global) == 1 && of_muon(leg, is_pf) == 1);
         c.require(MU1_ACCEPTED + leg, abs_eta < 2.4 && pt[leg] > 2.0 && (pt[leg] > 3.5 || abs_eta >= 1.2));
         c.require(MU1_TRIGGERED + leg, trigger_dr[leg] >= 0 && trigger_dr[leg] < 0.03);
      }
      v[ABS_CHARGE] = std::abs(charge[0] + charge[1] + charge[2]);
      c.require(CHARGED, v[ABS_CHARGE] == 1);

      double low = NaN, high = NaN;
      const int pairs[][2]{{0, 1}, {0, 2}, {1, 2}};
      for (int pair = 0; pair < 3; ++pair) {
         const auto [a, b] = pairs[pair];
         const double dr = v[DELTA_R_MU1_MU2 + pair] = delta_r(eta[a], phi[a], eta[b], phi[b]);
         const double dz = v[DELTA_Z_MU1_MU2 + pair] = std::abs(of_muon(a, muon_vz) - of_muon(b, muon_vz));
         const double dimuon = charge[a] * charge[b] < 0 ? (momenta[a] + momenta[b]).mass() : NaN;
         low = std::fmin(low, dimuon);
         high = std::fmax(high, dimuon);
         c.require(MU1_NEAR_MU2 + pair, dr < 0.8);
         c.require(MU1_MU2_IN_Z + pair, dz < 0.5);
      }
      v[DIMUON_LOW] = low;
      v[DIMUON_HIGH] = high;

      double variance = 0;
      for (int leg = 0; leg < 3; ++leg) {
         const Momentum others = total - momenta[leg];
         const double errors[]{of_muon(leg, pt_error), of_muon(leg, eta_error), of_muon(leg, phi_error)};
         for (int parameter = 0; parameter < 3; ++parameter) {
            double moved[2];
            for (int side = 0; side < 2; ++side) {
               double x[]{pt[leg], eta[leg], phi[leg]};
               x[parameter] += (side ? -1 : 1) * errors[parameter];
               moved[side] = (others + momentum(x[0], x[1], x[2])).mass();
            }
            variance += std::pow((moved[0] - moved[1]) / 2, 2);
         }
      }
      const double resolution = v[MASS_RESOLUTION] = total.mass() > 0 ? std::sqrt(variance) / total.mass() : NaN;
      const int category = resolution >= 0 ? (resolution >= 0.007) + (resolution >= 0.0105) : -1;
      v[CATEGORY] = category;
      c.require(IN_CATEGORY, category >= 0);
      const double veto[][2]{{0.99, 1.05}, {0.98, 1.06}, {0.965, 1.075}};
      const auto in_phi = [&](double m) { return category >= 0 && m > veto[category][0] && m < veto[category][1]; };
      const auto in_omega = [](double m) { return m > 0.783 - 0.017 && m < 0.783 + 0.017; };
      c.require(LOW_NO_PHI, !in_phi(low));
      c.require(HIGH_NO_PHI, !in_phi(high));
      c.require(LOW_NO_OMEGA, !in_omega(low));
      c.require(HIGH_NO_OMEGA, !in_omega(high));
      if (c.failed)
         continue;

      // inputs of a classifier, which only the table has
      const Vector between = Vector{vertex_x[i], vertex_y[i], vertex_z[i]} - Vector{primary_x[i], primary_y[i], primary_z[i]};
      const auto p = momentum(triplet_pt[i], triplet_eta[i], triplet_phi[i]);
      const Vector direction{p.x, p.y, p.z};
      const double cosine = between.dot(direction) / (between.length() * direction.length());
      v[TRIPLET_PT] = triplet_pt[i];
      v[VERTEX_CHI2_NDOF] = chi2[i] / ndof[i];
      v[ALPHA_3D] = std::acos(std::clamp(cosine, -1., 1.));
      v[FLIGHT_DISTANCE] = flight[i];
      v[IP_MAX] = v[IP_MIN] = v[IP_SIGNIFICANCE_MAX] = v[IP_SIGNIFICANCE_MIN] = v[MUON_QUALITY] = NaN;
      double isolation[3]{}, closest = NaN;
      for (int leg = 0; leg < 3; ++leg) {
         const int track = first_match(pt[leg], track_pt);
         const double ip = track < 0 ? NaN : std::abs(track_dxy[track]);
         const double in_errors = track < 0 ? NaN : ip / track_dxy_error[track];
         v[IP_MAX] = std::fmax(v[IP_MAX], ip);
         v[IP_MIN] = std::fmin(v[IP_MIN], ip);
         v[IP_SIGNIFICANCE_MAX] = std::fmax(v[IP_SIGNIFICANCE_MAX], in_errors);
         v[IP_SIGNIFICANCE_MIN] = std::fmin(v[IP_SIGNIFICANCE_MIN], in_errors);
         v[MUON_QUALITY] = std::fmin(v[MUON_QUALITY], of_muon(leg, is_soft));
      }
      for (std::size_t t = 0; t < track_pt.size(); ++t) {
         if (track_pt[t] == pt[0] || track_pt[t] == pt[1] || track_pt[t] == pt[2])
            continue;
         const double sine = std::sin(track_phi[t]), cosine = std::cos(track_phi[t]);
         const Vector away = between - Vector{-track_dxy[t] * sine, track_dxy[t] * cosine, track_dz[t]};
         const Vector along = Vector{cosine, sine, std::sinh(track_eta[t])} * (1 / std::cosh(track_eta[t]));
         const double distance = (away - along * away.dot(along)).length();
         closest = std::fmin(closest, distance);
         for (int leg = 0; leg < 3; ++leg)
            if (track_pt[t] > 1.0 && distance < 0.1 && delta_r(eta[leg], phi[leg], track_eta[t], track_phi[t]) < 0.3)
               isolation[leg] += track_pt[t] / pt[leg];
      }
      v[CLOSEST_TRACK] = closest;
      v[ISOLATION] = *std::max_element(isolation, isolation + 3);
   }
   return candidates;
}

// Ds → φ(μμ)π as processors/ds_phipi.py selects it, for the eras of 2017.
#include "candidates.h"

inline bool in_acceptance(double pt, double abs_eta)
{
   return (abs_eta < 1.2 && pt > 3.5) || (abs_eta >= 1.2 && abs_eta < 2.4 && pt > 2.0);
}

inline Candidates evaluate(
   Doubles mass, Doubles chi2, Doubles n_tracks, Doubles significance, Doubles pt1, Doubles eta1, Doubles phi1,
   Doubles pt2, Doubles eta2, Doubles phi2, Doubles pt3, Doubles eta3, Doubles phi3, Doubles refit_pt1,
   Doubles refit_eta1, Doubles refit_phi1, Doubles refit_pt2, Doubles refit_eta2, Doubles refit_phi2, Doubles dr1,
   Doubles dr2, Floats muon_pt, Doubles is_global, Doubles is_pf, Doubles track_pt, Doubles track_dz, Doubles track_dxy)
{
   const auto identified = [&](double pt) {
      const int muon = first_match(pt, muon_pt);
      return muon >= 0 && is_global[muon] == 1 && is_pf[muon] == 1;
   };
   Candidates candidates(mass.size());
   for (std::size_t i = 0; i < mass.size(); ++i) {
      auto &c = candidates[i];
      auto *v = c.values.data();
      const int track = first_match(pt3[i], track_pt);
      v[VERTEX_CHI2] = chi2[i];
      v[MASS] = mass[i];
      v[PV_TRACKS] = n_tracks[i];
      v[FLIGHT_BS_SIGNIFICANCE] = significance[i];
      v[MU1_PT] = pt1[i];
      v[MU1_ABS_ETA] = std::abs(eta1[i]);
      v[MU2_PT] = pt2[i];
      v[MU2_ABS_ETA] = std::abs(eta2[i]);
      v[TRACK_PT] = pt3[i];
      v[DELTA_R_MU1_MU2] = delta_r(eta1[i], phi1[i], eta2[i], phi2[i]);
      v[DELTA_R_MU1_TRACK] = delta_r(eta1[i], phi1[i], eta3[i], phi3[i]);
      v[DELTA_R_MU2_TRACK] = delta_r(eta2[i], phi2[i], eta3[i], phi3[i]);
      v[TRACK_ABS_DZ] = track < 0 ? NaN : std::abs(track_dz[track]);
      v[TRACK_ABS_DXY] = track < 0 ? NaN : std::abs(track_dxy[track]);
      v[PHI_MASS] = (momentum(refit_pt1[i], refit_eta1[i], refit_phi1[i]) +
                     momentum(refit_pt2[i], refit_eta2[i], refit_phi2[i])).mass();
      v[MU1_TRIGGER_DR] = dr1[i];
      v[MU2_TRIGGER_DR] = dr2[i];
      c.require(GOOD_VERTEX, v[VERTEX_CHI2] >= 0);
      c.require(IN_MASS, v[MASS] > 1.62 && v[MASS] < 2.02);
      c.require(WITH_TRACKS, v[PV_TRACKS] >= 2);
      c.require(DISPLACED, v[FLIGHT_BS_SIGNIFICANCE] > 2);
      c.require(MU1_ACCEPTED, in_acceptance(v[MU1_PT], v[MU1_ABS_ETA]));
      c.require(MU2_ACCEPTED, in_acceptance(v[MU2_PT], v[MU2_ABS_ETA]));
      c.require(TRACK_ACCEPTED, v[TRACK_PT] > 1.2);
      c.require(MU1_NEAR_MU2, v[DELTA_R_MU1_MU2] > 1e-4 && v[DELTA_R_MU1_MU2] < 0.8);
      c.require(MU1_NEAR_TRACK, v[DELTA_R_MU1_TRACK] > 1e-4 && v[DELTA_R_MU1_TRACK] < 0.8);
      c.require(MU2_NEAR_TRACK, v[DELTA_R_MU2_TRACK] > 1e-4 && v[DELTA_R_MU2_TRACK] < 0.8);
      c.require(MU1_IDENTIFIED, identified(pt1[i]));
      c.require(MU2_IDENTIFIED, identified(pt2[i]));
      c.require(NEAR_IN_Z, v[TRACK_ABS_DZ] < 20);
      c.require(NEAR_IN_XY, v[TRACK_ABS_DXY] < 0.3);
      c.require(IN_PHI_MASS, v[PHI_MASS] > 1.00 && v[PHI_MASS] < 1.04);
      c.require(MU1_TRIGGERED, v[MU1_TRIGGER_DR] >= 0 && v[MU1_TRIGGER_DR] < 0.03);
      c.require(MU2_TRIGGERED, v[MU2_TRIGGER_DR] >= 0 && v[MU2_TRIGGER_DR] < 0.03);
   }
   return candidates;
}

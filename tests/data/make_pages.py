"""Make `pages.root` of this folder: an RNTuple whose columns have many pages and clusters.

ROOT stores pages of a cluster that are equal once: those of `run`, of which all are equal, and the
offsets of `masses` and `charges`.

Needs ROOT (the wheel ``root`` of the package index, a pre-release); run it in this folder.
"""

import ROOT

ROOT.gInterpreter.Declare(r"""
#include <ROOT/RNTupleModel.hxx>
#include <ROOT/RNTupleWriteOptions.hxx>
#include <ROOT/RNTupleWriter.hxx>

void make_pages()
{
   auto model = ROOT::RNTupleModel::Create();
   auto number = model->MakeField<std::int32_t>("number");
   auto flag = model->MakeField<bool>("flag");
   auto text = model->MakeField<std::string>("text");
   auto masses = model->MakeField<std::vector<double>>("masses");
   auto paths = model->MakeField<std::vector<std::string>>("paths");
   auto nested = model->MakeField<std::vector<std::vector<std::int16_t>>>("nested");
   auto run = model->MakeField<std::int32_t>("run");
   auto charges = model->MakeField<std::vector<std::int32_t>>("charges");
   ROOT::RNTupleWriteOptions options;
   options.SetCompression(ROOT::RCompressionSetting::EDefaults::kUseGeneralPurpose);
   options.SetInitialUnzippedPageSize(64);
   options.SetMaxUnzippedPageSize(512);
   auto writer = ROOT::RNTupleWriter::Recreate(std::move(model), "events", "pages.root", options);
   for (int entry = 0; entry < 1000; ++entry) {
      *number = (entry % 7 - 3) * entry;
      *flag = entry % 3 == 0;
      *text = std::string(entry % 5, 'a' + entry % 26);
      masses->assign(entry % 4, entry / 8.);
      paths->assign({"HLT_A_v1", entry % 100 < 50 ? "HLT_B_v1" : "HLT_C_v10"});
      paths->resize(entry % 10 ? 2 : 0);
      nested->assign(entry % 3, std::vector<std::int16_t>(entry % 4, -entry));
      *run = 7;
      charges->assign(entry % 4, -1);
      writer->Fill();
      if (entry % 300 == 299)
         writer->CommitCluster();
   }
}
""")

if __name__ == "__main__":
    ROOT.make_pages()

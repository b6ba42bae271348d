from .building import BuiltModel as BuiltModel, build_model as build_model
from .building import TemplateAxis as TemplateAxis, axes_of as axes_of
from .building import findings_of as findings_of
from .collection import Collection as Collection, collect as collect
from .exports import template_workspace as template_workspace
from .exports import write_template_datacard as write_template_datacard
from .lint import Finding as Finding
from .model_file import TemplateFit as TemplateFit
from .model_file import declared_model as declared_model, load_model_file as load_model_file
from .preparation import prepare as prepare

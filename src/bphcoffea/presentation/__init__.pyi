from .bands import BANDS as BANDS, MEDIAN as MEDIAN, draw_bands as draw_bands
from .bands import legend_once as legend_once
from .colors import BLUE as BLUE, RED as RED
from .drawing import Drawing as Drawing
from .figure_style import FigureStyle as FigureStyle, load_style as load_style
from .correlations import correlation_figure as correlation_figure
from .fitted_stacks import channel_figure as channel_figure
from .hidden_data import blinded_in as blinded_in, overlapping as overlapping, shade as shade
from .impact_ranking import impact_figure as impact_figure
from .labels import Labels as Labels
from .options import FigureOptions as FigureOptions
from .strength_curves import cls_figure as cls_figure, profile_figure as profile_figure
from .pulls import pull_figure as pull_figure
from .plotting import plot_run as plot_run
from .style import DATA as DATA, Heading as Heading, SMALL as SMALL
from .style import TINY as TINY, cms_style as cms_style, garwood as garwood
from .style import arrange as arrange
from .style import new_figure as new_figure, per_bin as per_bin, points as points, save as save
from .style import scale_counts as scale_counts
from .training_figures import plot_training as plot_training
from .labels import LabelledRun as LabelledRun
from .run_figures import figures_of_run as figures_of_run
